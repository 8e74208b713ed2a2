// SPDX-License-Identifier: Apache-2.0
// The requests of one endpoint, from the library's callbacks to a page and back.
//
// Everything here runs on the library's threads, one for each connection. A request passes through
// these stages, kept in the one word that the library lends us for each request:
//
//     fresh, or malformed  (its target was seen)
//       → accepted         (first call: headers judged; second call: a page answers)
//       → answered         (waiting to be sent, or sent), with the number of the page that did it
//
// A request is in flight from its first call to `complete`, whatever became of it.

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
    let inFlight = InFlight()
    private let pages: PageTable
    let configuration: Endpoint.Configuration

    init(pages: [any Page], configuration: Endpoint.Configuration) {
        self.pages = PageTable(pages, title: configuration.title, report: configuration.log)
        self.configuration = configuration
    }

    /// Judges a target as it came, before the library decodes it.
    ///
    /// What stands behind a raw NUL is not seen: the library hands out a C string.
    func stage(ofTarget raw: UnsafePointer<CChar>) -> Stage {
        let length = unsafe strlen(raw)
        // SAFETY: the library hands out a C string; its bytes are read as unsigned.
        let isAccepted = unsafe raw.withMemoryRebound(to: UInt8.self, capacity: length) { bytes in
            unsafe RequestGuard.accepts(target: UnsafeBufferPointer(start: bytes, count: length))
        }
        return isAccepted ? .fresh : .malformed
    }

    /// One call of the library's handler; returns whether to go on with the connection.
    func handle(
        _ connection: outrider_mhd_connection, path: UnsafePointer<CChar>,
        method: UnsafePointer<CChar>, version: UnsafePointer<CChar>, stage: inout Stage
    ) -> Bool {
        switch stage {
        case .fresh, .malformed:
            let verdict = unsafe judge(
                connection, method: String(cString: method), version: String(cString: version),
                isMalformed: stage == .malformed)
            guard case .refuse(let status, let reason) = verdict else {
                stage = .accepted
                return true
            }
            stage = .answered
            return unsafe refuse(connection, status, reason, page: "_REFUSED")
        case .accepted:
            stage = .answered
            return unsafe respond(
                to: connection, path: String(cString: path), method: String(cString: method),
                stage: &stage)
        default:
            // The answer could not be queued, since the daemon is stopping.
            return false
        }
    }

    /// The request is over.
    func complete(_ stage: Stage) {
        // A target may have been seen without a call of the handler: such a one never entered.
        if stage == .fresh || stage == .malformed { return }
        if let number = stage.page { pages.leave(number) }
        inFlight.leave()
    }

    /// Passes on what the library has to say.
    func log(_ message: UnsafePointer<CChar>) {
        let text = unsafe String(cString: message)
        configuration.log("the listener on \(configuration.address) says: \(text)")
    }

    // MARK: - Judging and answering

    private func judge(
        _ connection: outrider_mhd_connection, method: String, version: String, isMalformed: Bool
    ) -> RequestGuard.Verdict {
        if !inFlight.enter() { return .refuse(status: 503, because: "This agent is stopping.") }
        if isMalformed {
            return .refuse(status: 400, because: "The request target is malformed.")
        }
        let headers = unsafe IncomingFields.headers(of: connection)
        if headers.isCut {
            return .refuse(status: 431, because: "There are too many header fields.")
        }
        if unsafe IncomingFields.arguments(of: connection).isCut {
            return .refuse(status: 414, because: "There are too many arguments in the query.")
        }
        return RequestGuard.judge(method: method, version: version, headers: headers.all)
    }

    private func respond(
        to connection: outrider_mhd_connection, path: String, method: String, stage: inout Stage
    ) -> Bool {
        guard let number = pages.number(at: path) else {
            let text = "There is no such page; / lists what there is.\n"
            return unsafe answer(connection, .text(text, status: 404), page: "_UNMATCHED")
        }
        let page = pages.page(number)
        stage = .answered(by: number)
        guard pages.enter(number) else {
            return unsafe refuse(
                connection, 503, "This page is busy with other requests.", page: page.path)
        }
        let query = unsafe IncomingFields.arguments(of: connection).all
        let headers = unsafe IncomingFields.headers(of: connection).all
        let request = Request(
            method: method, path: path, query: query.map { ($0.name, $0.value) },
            headers: headers.map { ($0.name, $0.value) })
        return unsafe answer(connection, page.respond(to: request), page: page.path)
    }

    private func refuse(
        _ connection: outrider_mhd_connection, _ status: Int, _ reason: String, page: String
    ) -> Bool {
        var response = Response.text(reason + "\n", status: status)
        if status == 405 { response.headers.append(("Allow", "GET, HEAD")) }
        if status == 503 { response.headers.append(("Retry-After", "1")) }
        return unsafe answer(connection, response, page: page)
    }

    /// Queues an answer; returns whether the connection can go on.
    private func answer(
        _ connection: outrider_mhd_connection, _ response: Response, page: String
    ) -> Bool {
        configuration.onAnswer(page, response.status)
        guard let outgoing = OutgoingResponse(response.body) else {
            configuration.log("no memory for an answer of \(response.body.count) bytes")
            return false
        }
        let nosniff = (name: "X-Content-Type-Options", value: "nosniff")
        for (name, value) in response.headers + [nosniff] where !outgoing.add(name, value) {
            configuration.log("the page \(page) gave a header that cannot be sent: \(name)")
        }
        let status = UInt32(clamping: response.status)
        return unsafe outrider_mhd_answer(connection, status, outgoing.handle) == 1
    }
}

/// Where a request stands: a plain number, since the library keeps it.
struct Stage: Equatable {
    let word: Int

    static let fresh = Stage(word: 0)
    static let malformed = Stage(word: 1)
    static let accepted = Stage(word: 2)
    static let answered = Stage(word: 3)

    /// Answered, or being answered, by the page of this number.
    static func answered(by page: Int) -> Stage { Stage(word: 4 + page) }

    /// The number of the page that is busy with it.
    var page: Int? { word >= 4 ? word - 4 : nil }
}
