// SPDX-License-Identifier: Apache-2.0
// The table of open connections: the state and the deadline of each.
//
// libmicrohttpd closes idle connections, but not one that transfers a byte now and then. So this
// table closes connections as well: those past their deadline and, when the limits are reached,
// those that can be spared (OpenConnections.swift).
//
// It closes a connection by shutdown(2), under the lock that its removal takes, so the descriptor
// is still the connection's own unless the service has closed it. The connection's thread then
// wakes and cleans up.

package import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The connections of one endpoint; thread-safe.
package final class ConnectionTable: Sendable {
    /// Identifies a connection; never reused.
    package typealias ID = Int

    private struct State: Sendable {
        var open: OpenConnections
        /// When the table next checks for expired deadlines.
        var nextCheck: ContinuousClock.Instant?
        /// Set once all connections are being closed; opened when the last of them is.
        var lastClosed: Latch?
    }

    private let limits: Endpoint.Limits
    private let onCut: @Sendable (CutReason) -> Void
    private let onLostDescriptor: @Sendable () -> Void
    private let time: any TimeSource
    private let state: Guarded<State>
    /// Fires at the next deadline.
    private let timer: OneShotTimer

    package init(
        limits: Endpoint.Limits, time: any TimeSource = SystemTime(),
        onLostDescriptor: @escaping @Sendable () -> Void = {},
        onCut: @escaping @Sendable (CutReason) -> Void
    ) {
        self.limits = limits
        self.time = time
        self.onCut = onCut
        self.onLostDescriptor = onLostDescriptor
        state = Guarded(State(open: OpenConnections(limits: limits)))
        timer = OneShotTimer(named: "outrider-time", time: time)
    }

    /// Runs `body` with the state, then reports the connections it closed, without the lock.
    private func reporting<Result>(_ body: (inout State) -> Result) -> Result {
        let (result, events) = state.withLock { state in
            let result = body(&state)
            if state.open.isEmpty { state.lastClosed?.open() }
            return (result, state.open.takeEvents())
        }
        for reason in events.cuts { onCut(reason) }
        for _ in 0..<events.lostDescriptors { onLostDescriptor() }
        return result
    }

    // MARK: - Life cycle

    /// Admits a connection from an address of 4 or 16 bytes, or none; closes another one if need
    /// be.
    ///
    /// Never blocks: it runs on the thread that accepts.
    ///
    /// - Returns: The connection's ID; nil if it is refused, and the caller still owns the
    ///   descriptor.
    package func admit(_ descriptor: Int32, from address: [UInt8]) -> ID? {
        let now = time.now
        let client = ClientAddress(address)
        return reporting { state in
            guard state.lastClosed == nil, state.open.makeRoom(for: client, at: now) else {
                return nil
            }
            let deadline = now + limits.headerTimeout
            let id = state.open.add(
                OpenConnection(descriptor, from: client, since: now, deadline: deadline))
            scheduleCheck(at: deadline, &state)
            return id
        }
    }

    /// The library has begun to serve a descriptor; returns the ID of its connection, or 0.
    func serve(_ descriptor: Int32) -> ID {
        state.withLock { state in
            let known = state.open.connections.first {
                $0.value.descriptor.number == descriptor && !$0.value.isServed
            }
            guard let known else { return 0 }
            state.open.change(known.key) { $0.isServed = true }
            return known.key
        }
    }

    /// A connection is about to be closed, or was never served.
    package func remove(_ id: ID) {
        reporting { $0.open.remove(id) }
    }

    /// The first line of a request has arrived, on the thread that serves its connection.
    func noteTarget(_ id: ID) {
        state.withLock { $0.open.change(id) { $0.thread = Self.currentThread } }
    }

    /// Sends a last response over the connection that this thread serves, and nothing after it.
    ///
    /// Bytes that do not fit into the socket's buffer are lost.
    func endCurrent(with response: [UInt8]) {
        reporting { state in
            let own = state.open.connections.first {
                !$0.value.isCut && $0.value.thread == Self.currentThread
            }
            guard let (id, connection) = own else { return }
            if connection.descriptor.isOwn {
                SocketAddress.sendQuietly(response, over: connection.descriptor.number)
            }
            state.open.shut(id, Int32(SHUT_WR))
        }
    }

    private static var currentThread: UInt {
        #if canImport(Glibc)
            UInt(pthread_self())
        #else
            UInt(bitPattern: pthread_self())
        #endif
    }

    /// A complete request has arrived.
    package func noteRequest(_ id: ID) {
        change(id) { connection, _ in
            connection.phase = .responding
            connection.deadline = nil
            // The request had already been read when its connection was cut, so it is still
            // answered.
            connection.isCut = false
        }
    }

    /// A response is ready to be sent.
    package func noteResponse(_ id: ID, by page: Int?) {
        change(id) { connection, now in
            connection.phase = .sending(page: page)
            connection.deadline = now + limits.responseTimeout
        }
    }

    /// The client has taken more of a response.
    func noteProgress(_ id: ID) {
        let now = time.now
        state.withLock { $0.open.change(id) { $0.since = now } }
    }

    /// A response has been sent; the next request may come.
    package func noteCompletion(_ id: ID) {
        change(id) { connection, now in
            connection.phase = .waiting
            connection.deadline =
                connection.isCut ? nil : now + limits.idleTimeout + limits.headerTimeout
        }
    }

    /// Whether the client of a connection has closed its end, or the connection is gone.
    func hasDisconnected(_ id: ID) -> Bool {
        state.withLock { $0.open[id]?.hasDisconnected ?? true }
    }

    /// The client of a connection.
    func client(of id: ID) -> ClientAddress? { state.withLock { $0.open[id]?.client } }

    private func change(
        _ id: ID, _ body: (inout OpenConnection, ContinuousClock.Instant) -> Void
    ) {
        let now = time.now
        state.withLock { state in
            state.open.change(id) { connection in
                connection.since = now
                body(&connection, now)
            }
            scheduleCheck(at: state.open[id]?.deadline, &state)
        }
    }

    // MARK: - Making room

    /// Closes the connection that has stalled longest while it reads a response of `page` (of any
    /// page if nil), because `client` needs its permit; false if there is none.
    func cutStalled(on page: Int?, for client: ClientAddress) -> Bool {
        let now = time.now
        return reporting { $0.open.cutStalled(on: page, for: client, at: now) }
    }

    /// Closes the connection that has waited longest without a request; if none waits, the one that
    /// has stalled longest.
    func cutOne() {
        let now = time.now
        reporting { $0.open.cutOne(at: now) }
    }

    // MARK: - Shutdown

    /// Closes all connections, later ones too; returns once all are closed, and so after every
    /// page.
    package func endAll() {
        shutAll()
        while let lastClosed = state.withLock({ $0.open.isEmpty ? nil : $0.lastClosed }) {
            _ = lastClosed.wait(for: .seconds(60))
        }
    }

    /// Closes all connections, later ones too, without waiting for them.
    func shutAll() {
        reporting { state in
            state.lastClosed = Latch()
            for id in state.open.connections.keys { state.open.shut(id, Int32(SHUT_RDWR)) }
        }
    }

    /// Cancels the timer of the deadlines.
    func cancelTimer() { timer.cancel() }

    /// Closes connections without a request, so that their clients connect to the next process;
    /// returns whether any connection still waits for a request.
    ///
    /// A client that has just connected gets a moment to send a request. A request that has arrived
    /// is answered.
    func closeIdle() -> Bool {
        let now = time.now
        return reporting { state in
            for (id, connection) in state.open.connections
            where connection.isWaiting && !connection.isCut {
                let isNew = connection.thread == nil && !connection.isIdle(at: now)
                if isNew || !connection.isSilent { continue }
                state.open.shut(id, Int32(SHUT_RD))
            }
            return state.open.connections.values.contains(where: \.isWaiting)
        }
    }

    // MARK: - Deadlines

    /// Sets the timer for `moment`, unless it already fires earlier; nil sets nothing.
    private func scheduleCheck(at moment: ContinuousClock.Instant?, _ state: inout State) {
        guard let moment else { return }
        // A check that is long overdue will not run: there was no thread for it.
        if let planned = state.nextCheck, planned <= moment, planned > time.now - .seconds(1) {
            return
        }
        state.nextCheck = moment
        timer.set(for: moment) { [weak self] in self?.cutExpired(planned: moment) }
    }

    private func cutExpired(planned: ContinuousClock.Instant) {
        let now = time.now
        reporting { state in
            // An earlier check replaced this one, and sets the next.
            guard state.nextCheck == planned else { return }
            state.nextCheck = nil
            for (id, connection) in state.open.connections {
                guard let deadline = connection.deadline, deadline <= now else { continue }
                state.open.cut(id, connection.isWaiting ? .requestTimeout : .responseTimeout)
            }
            scheduleCheck(at: state.open.connections.values.compactMap(\.deadline).min(), &state)
        }
    }
}
