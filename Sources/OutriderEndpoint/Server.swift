// SPDX-License-Identifier: Apache-2.0
// The requests of one endpoint, from the library's callbacks to a page and back.
//
// Everything here runs on the library's threads, one for each connection. A request is in flight
// from its first call to `complete`, whatever became of it.

internal import CMicroHTTPD
internal import OutriderThreading

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
    let habits: Habits
    private let pages: PageTable
    private let processor: ProcessorBudget
    private let bodies: BodyBudget

    /// How long a request waits for its place on a busy page, in steps of 25 ms.
    private static let stepsToWait = 120
    private static let stepMicroseconds: UInt32 = 25_000
    /// How long a client waits for a refusal that has spent its budget, so that it does not ask at once again.
    private static let pauseOfSpent: Duration = .milliseconds(250)
    /// How long one waits for a page that probes ask for, which is never refused.
    private static let pauseOfProbe: Duration = .milliseconds(25)

    init(pages: [any Page], configuration: Endpoint.Configuration, stopSignal: StopSignal) {
        self.pages = PageTable(
            pages, title: configuration.title, notices: configuration.notices,
            access: configuration.access, address: configuration.address,
            report: configuration.log)
        self.configuration = configuration
        self.stopSignal = stopSignal
        habits = configuration.habits ?? .ofLibrary(log: configuration.log)
        processor = ProcessorBudget(share: configuration.limits.processorShare)
        bodies = BodyBudget(limit: configuration.limits.bodyBytes)
        connections = ConnectionTable(
            limits: configuration.limits, time: configuration.time,
            onLostDescriptor: configuration.onLostDescriptor, onCut: configuration.onCut)
    }

    /// One call of the library's handler; returns whether to go on with the connection.
    func handle(
        _ connection: outrider_mhd_connection, path: UnsafePointer<CChar>,
        method: UnsafePointer<CChar>, version: UnsafePointer<CChar>, _ exchange: Exchange
    ) -> Bool {
        switch exchange.stage {
        case .fresh:
            let hidesBytes =
                unsafe habits.hidesBytes
                && outrider_mhd_hides_bytes(
                    connection, path, exchange.targetSize, method, version) != 0
            let verdict = unsafe judge(
                connection, method: String(cString: method), version: String(cString: version),
                hidesBytes: hidesBytes, exchange)
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

    /// The request is over; `isSent` if the kernel has taken the whole response.
    func complete(_ exchange: Exchange, isSent: Bool) {
        if isSent { exchange.onDelivery?() }
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
    /// What it would have answered without refusing, such as a redirect, is a refusal here.
    func log(_ message: UnsafePointer<CChar>) {
        let text = unsafe String(cString: message)
        if configuration.address.port == nil, Self.isOfTCP(text) { return }
        if let found = Self.status(in: text) {
            let status = (400...599).contains(found) ? found : 400
            configuration.onAnswer("_REFUSED", status)
            let refusal = Response.text("The request cannot be read.\n", status: status)
            connections.endCurrent(with: refusal.asLastAnswer)
        }
        configuration.log("the listener on \(configuration.address) says: \(text)")
    }

    /// The listening socket is not ours any more, or somebody has shut it.
    func noteLostListener() {
        configuration.onLostDescriptor()
        configuration.log(
            """
            the socket that listens on \(configuration.address) was closed or shut by other code of this process; \
            nobody is accepted there any more. Does the service close descriptors that are not its own?
            """)
        configuration.onLostListener()
    }

    /// There are no descriptors for another connection.
    func noteLackOfDescriptors() {
        configuration.log(
            "the listener on \(configuration.address) has no descriptor left for a connection")
    }

    /// Whether the library tells of an option of TCP that it could not set.
    ///
    /// It does not ask whether a connection that was handed to it is one of TCP, and tells that for each answer.
    private static func isOfTCP(_ text: String) -> Bool {
        text.hasPrefix("Setting TCP_") || text.hasPrefix("Failed to push the data")
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
        let client = connections.client(of: exchange.connection) ?? ClientAddress([])
        let descriptor = unsafe outrider_mhd_descriptor(connection)
        if let refusal = budgetRefusal(of: page, number, to: client, over: descriptor) {
            return unsafe answer(connection, refusal, page: page.path, exchange)
        }
        awaitRoom(for: client)
        guard enter(number, for: client) else {
            return unsafe refuse(
                connection, 503, "This page is busy with other requests.", page: page.path, exchange
            )
        }
        exchange.page = number
        let request = Request(
            method: method, target: target, headers: unsafe IncomingFields.of(connection).all,
            stopSignal: stopSignal, client: descriptor)
        let before = ProcessorBudget.ofThisThread
        var response = page.respond(to: request)
        if method == "HEAD" { response.onDelivery = nil }
        processor.charge(
            ProcessorBudget.ofThisThread - before, to: client, page: number,
            at: configuration.time.now)
        return unsafe answer(connection, response, page: page.path, exchange)
    }

    /// What a client is told that has spent its budget for a page, after a moment; nil if it has not.
    ///
    /// A page for probes is only slower then: who asks whether the service lives is told.
    private func budgetRefusal(
        of page: any Page, _ number: Int, to client: ClientAddress, over descriptor: Int32
    ) -> Response? {
        let verdict = processor.judge(client, page: number, at: configuration.time.now)
        if verdict == .granted { return nil }
        let pause = page.isForProbes ? Self.pauseOfProbe : Self.pauseOfSpent
        _ = stopSignal.wait(for: pause, client: descriptor)
        if page.isForProbes { return nil }
        processor.charge(0, to: client, page: number, at: configuration.time.now)
        if verdict == .pageHasSpent {
            return .unavailable("This page has taken its share of the processors.")
        }
        return .tooMany("Your requests for this page have taken their share of the processors.")
    }

    /// Waits a while for memory for an answer, for which clients that have stalled may lose theirs.
    ///
    /// The answer may share its bytes with one that is under way: it is judged when it is there.
    private func awaitRoom(for client: ClientAddress) {
        for _ in 0..<Self.stepsToWait {
            if !bodies.isFull || inFlight.isClosed { return }
            _ = connections.cutStalled(on: nil, for: client)
            // Only this client waits: the thread is its own.
            usleep(Self.stepMicroseconds)
        }
    }

    /// Takes a place on a page, for which a client that has stalled may lose its own.
    private func enter(_ number: Int, for client: ClientAddress) -> Bool {
        let places = pages.places(on: number)
        let ticket = places.come()
        for _ in 0..<Self.stepsToWait {
            if places.take(ticket) { return true }
            if inFlight.isClosed { break }
            _ = connections.cutStalled(on: number, for: client)
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
        var response = response
        let address = connections.client(of: exchange.connection) ?? ClientAddress([])
        if !bodies.enter(response.bytes, for: address) {
            response = .unavailable("The answers under way take all the memory that they may.")
            _ = bodies.enter(response.bytes, for: address)
        }
        configuration.onAnswer(page, response.status)
        let (connections, bodies, client) = (self.connections, self.bodies, exchange.connection)
        let outgoing = OutgoingResponse(
            response.bytes, onProgress: { connections.noteProgress(client) },
            onEnd: { bodies.leave($0) })
        guard let outgoing else {
            configuration.log("no memory for an answer of \(response.bytes.count) bytes")
            return false
        }
        // Bytes that nobody has seen cannot be another request where there is no other.
        if !habits.isSafe { _ = outgoing.add("Connection", "close") }
        for (name, value) in response.allHeaders where !outgoing.add(name, value) {
            configuration.log("the page \(page) gave a header that cannot be sent: \(name)")
        }
        // A client that has closed its end already reads no response. Later, that may be since it has read all.
        if let onDelivery = response.onDelivery, !connections.hasLeft(client) {
            exchange.onDelivery = onDelivery
        }
        connections.noteAnswer(client, by: exchange.page)
        let status = UInt32(clamping: response.status)
        return unsafe outrider_mhd_answer(connection, status, outgoing.handle) == 1
    }
}
