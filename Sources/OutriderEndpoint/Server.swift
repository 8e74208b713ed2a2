// SPDX-License-Identifier: Apache-2.0
// The requests of one endpoint, from the library's callbacks to a page and back.
//
// Everything here runs on the library's threads, one for each connection. A request passes through
// these states, kept in the one word that the library lends us for each request:
//
//     fresh, or malformed  (its target was seen)
//       → accepted         (first call: headers judged; second call: a page answers)
//       → answered         (waiting to be sent, or sent)
//
// A request is in flight from its first call to `completed`, whatever became of it.

internal import CMicroHTTPD

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// What the library's callbacks reach: pages, rules and counts.
///
/// Lives as long as its daemon.
final class Server: Sendable {
    /// Where a request stands; kept by the library, so plain numbers.
    private enum Stage {
        static let fresh = 0
        static let malformed = 1
        static let accepted = 2
        static let answered = 3
    }

    let inFlight = InFlight()
    private let pages: [String: any Page]
    private let configuration: Endpoint.Configuration

    init(pages: [any Page], configuration: Endpoint.Configuration) {
        var byPath: [String: any Page] = [:]
        for page in pages {
            for path in [page.path] + page.aliases where byPath[path] == nil {
                byPath[path] = page
            }
        }
        if byPath["/"] == nil {
            byPath["/"] = LandingPage(title: configuration.title, pages: pages)
        }
        self.pages = byPath
        self.configuration = configuration
    }

    /// Judges a target as it came, before the library decodes it.
    func stage(ofTarget raw: UnsafePointer<CChar>) -> Int {
        let length = unsafe strlen(raw)
        // SAFETY: the library hands out a C string; its bytes are read as unsigned.
        let isAccepted = unsafe raw.withMemoryRebound(to: UInt8.self, capacity: length) { bytes in
            unsafe RequestGuard.accepts(target: UnsafeBufferPointer(start: bytes, count: length))
        }
        return isAccepted ? Stage.fresh : Stage.malformed
    }

    /// One call of the library's handler; returns whether to go on with the connection.
    func handle(
        _ connection: outrider_mhd_connection, path: UnsafePointer<CChar>,
        method: UnsafePointer<CChar>, version: UnsafePointer<CChar>, stage: inout Int
    ) -> Bool {
        switch stage {
        case Stage.fresh, Stage.malformed:
            let isMalformed = stage == Stage.malformed
            let isOpen = inFlight.enter()
            stage = Stage.accepted
            let verdict: RequestGuard.Verdict =
                if !isOpen {
                    .refuse(status: 503, because: "This agent is stopping.")
                } else if isMalformed {
                    .refuse(status: 400, because: "The request target is malformed.")
                } else {
                    unsafe RequestGuard.judge(
                        method: String(cString: method), version: String(cString: version),
                        headers: headers(of: connection))
                }
            guard case .refuse(let status, let reason) = verdict else { return true }
            stage = Stage.answered
            var response = Response.text(reason + "\n", status: status)
            if status == 405 { response.headers.append(("Allow", "GET, HEAD")) }
            if status == 503 { response.headers.append(("Retry-After", "1")) }
            return unsafe answer(connection, response, page: "_REFUSED")
        case Stage.accepted:
            stage = Stage.answered
            return unsafe respond(
                to: connection, path: String(cString: path), method: String(cString: method))
        default:
            // The answer could not be queued, since the daemon is stopping.
            return false
        }
    }

    /// The request is over.
    func complete(stage: Int) {
        // A target may have been seen without a call of the handler: such a one never entered.
        if stage == Stage.accepted || stage == Stage.answered { inFlight.leave() }
    }

    /// Passes on what the library has to say.
    func log(_ message: UnsafePointer<CChar>) {
        let text = unsafe String(cString: message)
        configuration.log("the listener on \(configuration.address) says: \(text)")
    }

    // MARK: - Answering

    private func respond(
        to connection: outrider_mhd_connection, path: String, method: String
    ) -> Bool {
        guard let page = pages[path] else {
            let text = "There is no such page; / lists what there is.\n"
            return unsafe answer(connection, .text(text, status: 404), page: "_UNMATCHED")
        }
        let query = unsafe Values.collect { unsafe outrider_mhd_arguments(connection, $0, $1) }
        let headers = unsafe headers(of: connection)
        let request = Request(
            method: method, path: path, query: query.map { ($0.name, $0.value) },
            headers: headers.map { ($0.name, $0.value) })
        return unsafe answer(connection, page.respond(to: request), page: page.path)
    }

    private func headers(of connection: outrider_mhd_connection) -> [RawHeader] {
        unsafe Values.collect { unsafe outrider_mhd_headers(connection, $0, $1) }
    }

    /// Queues an answer; returns whether the connection can go on.
    private func answer(
        _ connection: outrider_mhd_connection, _ response: Response, page: String
    ) -> Bool {
        configuration.onAnswer(page, response.status)
        let body = unsafe Unmanaged.passRetained(Body(response.body)).toOpaque()
        let made = unsafe outrider_mhd_response(
            UInt64(response.body.count),
            { body, position, into, size in
                guard let body = unsafe body, let into = unsafe into else { return -1 }
                return unsafe Unmanaged<Body>.fromOpaque(body).takeUnretainedValue()
                    .copy(from: position, to: into, size)
            }, body,
            { body in
                if let body = unsafe body { unsafe Unmanaged<Body>.fromOpaque(body).release() }
            })
        guard let made = unsafe made else {
            unsafe Unmanaged<Body>.fromOpaque(body).release()
            configuration.log("no memory for an answer of \(response.body.count) bytes")
            return false
        }
        let nosniff = (name: "X-Content-Type-Options", value: "nosniff")
        for (name, value) in response.headers + [nosniff]
        where unsafe outrider_mhd_add_header(made, name, value) == 0 {
            configuration.log("the page \(page) gave a header that cannot be sent: \(name)")
        }
        return unsafe outrider_mhd_answer(connection, UInt32(clamping: response.status), made) == 1
    }
}

/// A body that the library reads in pieces while it sends them.
private final class Body: Sendable {
    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    func copy(from position: UInt64, to place: UnsafeMutablePointer<CChar>, _ size: Int) -> Int {
        let start = min(Int(clamping: position), bytes.count)
        let count = min(size, bytes.count - start)
        unsafe bytes.withUnsafeBytes { source in
            // SAFETY: `count` fits into both, and the library owns `place`.
            unsafe UnsafeMutableRawBufferPointer(start: place, count: count)
                .copyBytes(from: source[start..<start + count])
        }
        return count
    }
}

/// Headers or arguments of a request, collected through a C callback.
private final class Values {
    /// A request with more is cut here; the library's memory limit comes first.
    private static let limit = 256
    private var headers: [RawHeader] = []

    /// Runs one of the library's walks and returns what it visited.
    static func collect(
        _ walk: (outrider_mhd_visit?, UnsafeMutableRawPointer?) -> Void
    ) -> [RawHeader] {
        let values = Values()
        unsafe walk(
            { visitor, name, nameSize, value, valueSize in
                guard let visitor = unsafe visitor else { return 0 }
                let values = unsafe Unmanaged<Values>.fromOpaque(visitor).takeUnretainedValue()
                return unsafe values.add(name, nameSize, value, valueSize) ? 1 : 0
            }, Unmanaged.passUnretained(values).toOpaque())
        return values.headers
    }

    private func add(
        _ name: UnsafePointer<CChar>?, _ nameSize: Int, _ value: UnsafePointer<CChar>?,
        _ valueSize: Int
    ) -> Bool {
        // SAFETY: the library's pointers are valid during the walk, for the sizes it gives.
        func bytes(_ start: UnsafePointer<CChar>?, _ count: Int) -> UnsafeBufferPointer<UInt8> {
            unsafe UnsafeBufferPointer(
                start: UnsafeRawPointer(start)?.assumingMemoryBound(to: UInt8.self),
                count: start == nil ? 0 : count)
        }
        unsafe headers.append(
            RawHeader(name: bytes(name, nameSize), value: bytes(value, valueSize)))
        return headers.count < Self.limit
    }
}
