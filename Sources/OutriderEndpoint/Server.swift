// SPDX-License-Identifier: Apache-2.0
// The requests of one endpoint, from the library's callbacks to a page and back.
//
// All of this runs on the library's threads, one for each connection. A request is in flight from
// its first call to `complete`, whatever its result.

internal import CMicroHTTPD
internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The state that the library's callbacks use: pages, rules and counts.
///
/// Lives as long as its daemon.
final class Server: Sendable {
    let inFlight = InFlight()
    let connections: ConnectionTable
    let stopSignal: StopSignal
    let configuration: Endpoint.Configuration
    let quirks: Quirks
    private let pages: PageTable
    private let processor: CPUBudget
    private let bodies: BodyBudget

    /// How long a request waits for a permit of a busy page: 120 steps of 25 ms.
    private static let stepsToWait = 120
    private static let stepMicroseconds: UInt32 = 25_000
    /// Delay of a refusal for a spent budget, so that the client does not retry at once.
    private static let overBudgetDelay: Duration = .milliseconds(250)
    /// Delay of a probe page, which is never refused, after its budget is spent.
    private static let probeDelay: Duration = .milliseconds(25)

    init(pages: [any Page], configuration: Endpoint.Configuration, stopSignal: StopSignal) {
        self.pages = PageTable(
            pages, title: configuration.title, notices: configuration.notices,
            access: configuration.access, address: configuration.address,
            report: configuration.log)
        self.configuration = configuration
        self.stopSignal = stopSignal
        quirks = configuration.quirks ?? .ofLibrary(log: configuration.log)
        processor = CPUBudget(share: configuration.limits.cpuShare)
        bodies = BodyBudget(limit: configuration.limits.bodyBytes)
        connections = ConnectionTable(
            limits: configuration.limits, time: configuration.time,
            onLostDescriptor: configuration.onLostDescriptor, onCut: configuration.onCut)
    }

    /// One call of the library's handler; returns whether to continue with the connection.
    func handle(
        _ connection: outrider_mhd_connection, path: UnsafePointer<CChar>,
        method: UnsafePointer<CChar>, version: UnsafePointer<CChar>, _ exchange: Exchange
    ) -> Bool {
        switch exchange.stage {
        case .fresh:
            let hidesBytes =
                unsafe quirks.hidesBytes
                && outrider_mhd_hides_bytes(
                    connection, path, exchange.targetSize, method, version) != 0
            let verdict = unsafe judge(
                connection, method: String(cString: method), version: String(cString: version),
                hidesBytes: hidesBytes, exchange)
            // The request is counted by now, so that one that no longer waits is in flight.
            connections.noteRequest(exchange.connection)
            guard case .refuse(let status, let reason) = verdict else {
                exchange.stage = .accepted
                return true
            }
            exchange.stage = .responded
            return unsafe refuse(connection, status, reason, page: "_REFUSED", exchange)
        case .accepted:
            exchange.stage = .responded
            return unsafe respond(to: connection, method: String(cString: method), exchange)
        case .responded:
            // The response could not be queued, because the daemon is stopping.
            return false
        }
    }

    /// The request is over; `isSent` if the kernel has taken the whole response.
    func complete(_ exchange: Exchange, isSent: Bool) {
        if isSent { exchange.onDelivery?() }
        if let page = exchange.page { pages.permits(on: page).release() }
        // The target may have been read without a call of the handler; such a request was never
        // counted.
        if exchange.isCounted { inFlight.leave() }
        connections.noteCompletion(exchange.connection)
    }

    /// Forwards the library's messages.
    ///
    /// When a message reports that the library refuses a request by itself, the refusal is counted,
    /// and sent from here before the library does so: 0.9.75 sends the head of some of its refusals
    /// twice, and none has our header fields. The message comes on the connection's thread, after
    /// the previous response is sent. Until the first line of a connection is read, that thread is
    /// unknown, and the library responds. Responses of the library other than errors, such as a
    /// redirect, become refusals here.
    func log(_ message: UnsafePointer<CChar>) {
        let text = unsafe String(cString: message)
        if configuration.address.port == nil, Self.isOfTCP(text) { return }
        if let found = Self.status(in: text) {
            let status = (400...599).contains(found) ? found : 400
            configuration.onResponse("_REFUSED", status)
            let refusal = Response.text("The request could not be parsed.\n", status: status)
            connections.endCurrent(with: refusal.asFinalResponse)
        }
        configuration.log("listener on \(configuration.address): \(text)")
    }

    /// The listening socket is no longer ours, or other code has shut it down.
    func noteLostListener() {
        configuration.onLostDescriptor()
        configuration.log(
            """
            other code in this process closed or shut down the listening socket of \(configuration.address); it accepts no \
            more connections. Check whether the service closes descriptors that it does not own
            """)
        configuration.onLostListener()
    }

    /// No descriptors are left for another connection.
    func noteLackOfDescriptors() {
        configuration.log(
            "listener on \(configuration.address): no descriptors left for new connections")
    }

    /// Whether the message is about a TCP option that could not be set.
    ///
    /// The library does not check whether a connection that it was given is TCP, and logs this for
    /// each response.
    private static func isOfTCP(_ text: String) -> Bool {
        text.hasPrefix("Setting TCP_") || text.hasPrefix("Failed to push the data")
    }

    /// The status of a response that the library announces: "… (HTTP response code is 431 …".
    ///
    /// Its messages are never translated: no text domain is set for it. If another version words
    /// them differently, it responds by itself and the refusal is not counted.
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

    // MARK: - Validation

    private func judge(
        _ connection: outrider_mhd_connection, method: String, version: String, hidesBytes: Bool,
        _ exchange: Exchange
    ) -> RequestGuard.Verdict {
        exchange.isCounted = true
        if !inFlight.enter() { return .refuse(status: 503, because: "The agent is stopping.") }
        let target: RequestTarget
        switch exchange.target {
        case .success(let read): target = read
        case .failure(.malformed):
            return .refuse(status: 400, because: "Malformed request target.")
        case .failure(.tooManyArguments):
            return .refuse(status: 414, because: "Too many query parameters.")
        }
        let headers = unsafe IncomingFields.of(connection)
        if headers.isCut {
            return .refuse(status: 431, because: "Too many header fields.")
        }
        if hidesBytes {
            return .refuse(status: 400, because: "Malformed request line or header line.")
        }
        let verdict = RequestGuard.judge(method: method, version: version, headers: headers.all)
        guard verdict == .accept, pages.audience(of: target.path) == .operators else {
            return verdict
        }
        return configuration.access.judge(headers.all, at: configuration.address)
    }

    // MARK: - Responding

    private func respond(
        to connection: outrider_mhd_connection, method: String, _ exchange: Exchange
    ) -> Bool {
        guard case .success(let target) = exchange.target,
            let index = pages.index(at: target.path)
        else {
            let text = "Not found. See / for the list of pages.\n"
            return unsafe send(
                connection, .text(text, status: 404), page: "_UNMATCHED", exchange)
        }
        let page = pages.page(index)
        let client = connections.client(of: exchange.connection) ?? ClientAddress([])
        let descriptor = unsafe outrider_mhd_descriptor(connection)
        if let refusal = budgetRefusal(of: page, index, to: client, over: descriptor) {
            return unsafe send(connection, refusal, page: page.path, exchange)
        }
        awaitMemory(for: client)
        guard enter(index, for: client) else {
            return unsafe refuse(
                connection, 503, "Too many concurrent requests for this page.", page: page.path,
                exchange
            )
        }
        exchange.page = index
        let request = Request(
            method: method, target: target, headers: unsafe IncomingFields.of(connection).all,
            stopSignal: stopSignal, client: descriptor)
        let before = CPUBudget.ofThisThread
        var response = page.respond(to: request)
        if method == "HEAD" { response.onDelivery = nil }
        processor.charge(
            CPUBudget.ofThisThread - before, to: client, page: index,
            at: configuration.time.now)
        return unsafe send(connection, response, page: page.path, exchange)
    }

    /// The refusal for a client that has spent its budget for a page, after a delay; nil if it has
    /// not.
    ///
    /// A probe page is only delayed, so that a health probe always gets its response.
    private func budgetRefusal(
        of page: any Page, _ index: Int, to client: ClientAddress, over descriptor: Int32
    ) -> Response? {
        let verdict = processor.judge(client, page: index, at: configuration.time.now)
        if verdict == .granted { return nil }
        let pause = page.isForProbes ? Self.probeDelay : Self.overBudgetDelay
        _ = stopSignal.wait(for: pause, client: descriptor)
        if page.isForProbes { return nil }
        processor.charge(0, to: client, page: index, at: configuration.time.now)
        if verdict == .pageHasSpent {
            return .unavailable("This page has used up its CPU budget.")
        }
        return .tooMany("Your requests have used up their CPU budget for this page.")
    }

    /// Waits for memory for a response, which clients that have stalled may have to give up.
    ///
    /// The response may share its bytes with one under way, so the budget is checked when it is
    /// ready.
    private func awaitMemory(for client: ClientAddress) {
        for _ in 0..<Self.stepsToWait {
            if !bodies.isFull || inFlight.isClosed { return }
            _ = connections.cutStalled(on: nil, for: client)
            // Only this client waits, because the connection has its own thread.
            usleep(Self.stepMicroseconds)
        }
    }

    /// Acquires a permit for a page, which a client that has stalled may have to give up.
    private func enter(_ index: Int, for client: ClientAddress) -> Bool {
        let permits = pages.permits(on: index)
        let ticket = permits.join()
        for _ in 0..<Self.stepsToWait {
            if permits.acquire(ticket) { return true }
            if inFlight.isClosed { break }
            _ = connections.cutStalled(on: index, for: client)
            // Only this client waits, because the connection has its own thread.
            usleep(Self.stepMicroseconds)
        }
        if permits.acquire(ticket) { return true }
        permits.cancel(ticket)
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
        return unsafe send(connection, response, page: page, exchange)
    }

    /// Queues a response; returns whether the connection can continue.
    private func send(
        _ connection: outrider_mhd_connection, _ response: Response, page: String,
        _ exchange: Exchange
    ) -> Bool {
        var response = response
        let address = connections.client(of: exchange.connection) ?? ClientAddress([])
        if !bodies.enter(response.bytes, for: address) {
            response = .unavailable("Responses in progress have used up their memory budget.")
            _ = bodies.enter(response.bytes, for: address)
        }
        configuration.onResponse(page, response.status)
        let (connections, bodies, client) = (self.connections, self.bodies, exchange.connection)
        let outgoing = OutgoingResponse(
            response.bytes, onProgress: { connections.noteProgress(client) },
            onEnd: { bodies.leave($0) })
        guard let outgoing else {
            configuration.log("out of memory for a response of \(response.bytes.count) bytes")
            return false
        }
        // Hidden bytes cannot become a second request on a connection that serves only one.
        if !quirks.isSafe { _ = outgoing.add("Connection", "close") }
        for (name, value) in response.allHeaders where !outgoing.add(name, value) {
            configuration.log("page \(page) returned a header field that cannot be sent: \(name)")
        }
        // A client that has closed its end by now reads no response. Later, it may have read all of
        // it.
        if let onDelivery = response.onDelivery, !connections.hasDisconnected(client) {
            exchange.onDelivery = onDelivery
        }
        connections.noteResponse(client, by: exchange.page)
        let status = UInt32(clamping: response.status)
        return unsafe outrider_mhd_respond(connection, status, outgoing.handle) == 1
    }
}
