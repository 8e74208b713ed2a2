// SPDX-License-Identifier: Apache-2.0
// The requests of one endpoint, from the library's callbacks to a page and back.
//
// Everything here runs on the library's threads, one for each connection. A request is in flight
// from its first call to `complete`, whatever became of it.

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
    let connections: ConnectionTable
    let stopSignal: StopSignal
    let configuration: Endpoint.Configuration
    private let pages: PageTable

    /// How long a request waits for its place on a busy page, in steps of 25 ms.
    private static let stepsToWait = 120
    private static let stepMicroseconds: UInt32 = 25_000
    /// How long nobody is accepted when there are no descriptors left, in microseconds.
    private static let acceptPause: UInt32 = 50_000

    init(pages: [any Page], configuration: Endpoint.Configuration, stopSignal: StopSignal) {
        self.pages = PageTable(
            pages, title: configuration.title, notices: configuration.notices,
            access: configuration.access, address: configuration.address,
            report: configuration.log)
        self.configuration = configuration
        self.stopSignal = stopSignal
        connections = ConnectionTable(
            limits: configuration.limits, time: configuration.time, onCut: configuration.onCut)
    }

    /// One call of the library's handler; returns whether to go on with the connection.
    func handle(
        _ connection: outrider_mhd_connection, path: UnsafePointer<CChar>,
        method: UnsafePointer<CChar>, version: UnsafePointer<CChar>, _ exchange: Exchange
    ) -> Bool {
        switch exchange.stage {
        case .fresh:
            let hidesBytes = unsafe outrider_mhd_hides_bytes(
                connection, path, exchange.targetSize, method, version)
            let verdict = unsafe judge(
                connection, method: String(cString: method), version: String(cString: version),
                hidesBytes: hidesBytes != 0, exchange)
            // Counted in by now: who waits no more is in flight.
            connections.noteRequest(exchange.connection)
            guard case .refuse(let status, let reason) = verdict else {
                exchange.stage = .accepted
                return true
            }
            exchange.stage = .answered
            return unsafe refuse(connection, status, reason, page: "_REFUSED", exchange)
        case .accepted:
            exchange.stage = .answered
            return unsafe respond(to: connection, method: String(cString: method), exchange)
        case .answered:
            // The answer could not be queued, since the daemon is stopping.
            return false
        }
    }

    /// The request is over.
    func complete(_ exchange: Exchange) {
        if let page = exchange.page { pages.places(on: page).leave() }
        // A target may have been seen without a call of the handler: such a one never entered.
        if exchange.isCounted { inFlight.leave() }
        connections.noteCompletion(exchange.connection)
    }

    /// Passes on what the library has to say.
    ///
    /// When it says that it refuses a request by itself, that is counted, and answered before it can
    /// do so: 0.9.75 sends the head of some of its refusals twice, and none has our header fields.
    /// It speaks on the connection's thread, after the answer to the request before is sent. Before
    /// the first line of a connection is read, we do not know that thread, and the library answers.
    func log(_ message: UnsafePointer<CChar>) {
        let text = unsafe String(cString: message)
        if let status = Self.status(in: text) {
            configuration.onAnswer("_REFUSED", status)
            let refusal = Response.text("The request cannot be read.\n", status: status)
            connections.endCurrent(with: refusal.asLastAnswer)
        }
        configuration.log("the listener on \(configuration.address) says: \(text)")
        if text.hasPrefix("Error accepting connection") {
            // It would try again at once, for as long as there are no descriptors. This thread does
            // nothing but accept, so it may wait; and a client that waits for nothing may go.
            connections.cutOne()
            usleep(Self.acceptPause)
        }
    }

    /// The status of an answer that the library says it gives: "… (HTTP response code is 431 …".
    ///
    /// Its messages are never translated: nobody sets a text domain for it. Should another version
    /// word them differently, it answers by itself and is not counted.
    private static func status(in text: String) -> Int? {
        let key = Array("HTTP response code is ".utf8)
        let bytes = Array(text.utf8)
        for start in bytes.indices.dropLast(key.count)
        where bytes[start..<start + key.count] == key[...] {
            let digits = bytes[(start + key.count)...].prefix { (0x30...0x39).contains($0) }
            return Int(String(decoding: digits, as: UTF8.self))
        }
        return nil
    }

    // MARK: - Judging

    private func judge(
        _ connection: outrider_mhd_connection, method: String, version: String, hidesBytes: Bool,
        _ exchange: Exchange
    ) -> RequestGuard.Verdict {
        exchange.isCounted = true
        if !inFlight.enter() { return .refuse(status: 503, because: "This agent is stopping.") }
        let target: RequestTarget
        switch exchange.target {
        case .success(let read): target = read
        case .failure(.malformed):
            return .refuse(status: 400, because: "The request target is malformed.")
        case .failure(.tooManyArguments):
            return .refuse(status: 414, because: "There are too many arguments in the query.")
        }
        let headers = unsafe IncomingFields.of(connection)
        if headers.isCut {
            return .refuse(status: 431, because: "There are too many header fields.")
        }
        if hidesBytes { return .refuse(status: 400, because: "A line is malformed.") }
        let verdict = RequestGuard.judge(method: method, version: version, headers: headers.all)
        guard verdict == .accept, pages.audience(of: target.path) == .operators else {
            return verdict
        }
        return configuration.access.judge(headers.all, at: configuration.address)
    }

    // MARK: - Answering

    private func respond(
        to connection: outrider_mhd_connection, method: String, _ exchange: Exchange
    ) -> Bool {
        guard case .success(let target) = exchange.target,
            let number = pages.number(at: target.path)
        else {
            let text = "There is no such page; / lists what there is.\n"
            return unsafe answer(
                connection, .text(text, status: 404), page: "_UNMATCHED", exchange)
        }
        let page = pages.page(number)
        guard enter(number) else {
            return unsafe refuse(
                connection, 503, "This page is busy with other requests.", page: page.path, exchange
            )
        }
        exchange.page = number
        let request = Request(
            method: method, target: target, headers: unsafe IncomingFields.of(connection).all,
            stopSignal: stopSignal, client: unsafe outrider_mhd_descriptor(connection))
        return unsafe answer(connection, page.respond(to: request), page: page.path, exchange)
    }

    /// Takes a place on a page, for which a client that has stalled may lose its own.
    private func enter(_ number: Int) -> Bool {
        let places = pages.places(on: number)
        let ticket = places.come()
        for _ in 0..<Self.stepsToWait {
            if places.take(ticket) { return true }
            if inFlight.isClosed { break }
            _ = connections.cutStalled(on: number)
            // Only this client waits: the thread is its own.
            usleep(Self.stepMicroseconds)
        }
        if places.take(ticket) { return true }
        places.giveUp(ticket)
        return false
    }

    private func refuse(
        _ connection: outrider_mhd_connection, _ status: Int, _ reason: String, page: String,
        _ exchange: Exchange
    ) -> Bool {
        var response =
            status == 503 ? .unavailable(reason) : Response.text(reason + "\n", status: status)
        if status == 405 { response.headers.append(("Allow", "GET, HEAD")) }
        if status == 401 { response.headers.append(("WWW-Authenticate", "Bearer")) }
        return unsafe answer(connection, response, page: page, exchange)
    }

    /// Queues an answer; returns whether the connection can go on.
    private func answer(
        _ connection: outrider_mhd_connection, _ response: Response, page: String,
        _ exchange: Exchange
    ) -> Bool {
        configuration.onAnswer(page, response.status)
        let (connections, client) = (self.connections, exchange.connection)
        let outgoing = OutgoingResponse(response.body) { connections.noteProgress(client) }
        guard let outgoing else {
            configuration.log("no memory for an answer of \(response.body.count) bytes")
            return false
        }
        for (name, value) in response.allHeaders where !outgoing.add(name, value) {
            configuration.log("the page \(page) gave a header that cannot be sent: \(name)")
        }
        connections.noteAnswer(client, by: exchange.page)
        let status = UInt32(clamping: response.status)
        return unsafe outrider_mhd_answer(connection, status, outgoing.handle) == 1
    }
}
