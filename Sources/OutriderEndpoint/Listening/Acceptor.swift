// SPDX-License-Identifier: Apache-2.0
// The thread that accepts connections and hands them to the library.
//
// The library could accept connections itself, but each then has a thread before we see it, and
// refusing one is expensive. Here a refusal takes a few system calls and never blocks. So a probe
// behind other newcomers in the kernel's queue is accepted as soon as those are accepted or
// refused.

internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Accepts connections on one listening socket until it is stopped.
final class Acceptor: Sendable {
    /// Connections that one address may open at once, and per second; more would take a tenth of a
    /// processor.
    private static let burst = 1_000.0
    private static let rate = 500.0
    /// Connections accepted before the thread checks whether to stop.
    private static let batch = 64
    /// How long accepting pauses when no descriptors are left, unless it is stopped.
    private static let pause: Duration = .milliseconds(50)

    private let socket: ListeningSocket
    private let server: Server
    private let daemon: Daemon
    private let ending: StopSignal
    private let ended = Latch()
    private let hasLost = Guarded(false)
    private let arrivals = Guarded(
        TokenBuckets<ClientAddress>(burst: Acceptor.burst, rate: Acceptor.rate))

    private let refusalOfFull =
        Response.unavailable("Too many connections to this agent.").asFinalResponse
    private let refusalOfTooOften =
        Response.tooMany("Too many new connections from this address.").asFinalResponse

    /// Takes over a socket.
    init(socket: ListeningSocket, server: Server, daemon: Daemon, ending: StopSignal) {
        self.socket = socket
        self.server = server
        self.daemon = daemon
        self.ending = ending
    }

    /// Whether other code has closed its socket, and perhaps the endpoint's other descriptors.
    var hasLostSocket: Bool { hasLost.withLock { $0 } }

    /// Starts its thread; false if none can be started.
    func start() -> Bool {
        DetachedThread.start(named: "outrider-accept") { [self] in
            while waitForConnection() { acceptBatch() }
            socket.stopListening()
            ended.open()
        }
    }

    /// Stops accepting and closes the descriptor; returns once that is done, at `deadline` at the
    /// latest.
    func stop(until deadline: ContinuousClock.Instant, by time: any TimeSource) {
        ending.raise()
        _ = time.wait(for: ended, until: deadline)
    }

    /// Waits for a newcomer; false if it has to stop, or if the socket is no longer ours.
    private func waitForConnection() -> Bool {
        var waiting = [
            pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: ending.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        let found = callPoll(&waiting, -1)
        if ending.isRaised { return false }
        // Other code may have shut it down, or closed it and opened another file with its
        // descriptor.
        let isBroken = waiting[0].revents & Int16(POLLHUP | POLLERR | POLLNVAL) != 0
        if found >= 0, !isBroken, waiting[1].revents == 0, socket.isOwn { return true }
        hasLost.withLock { $0 = true }
        HighDescriptors.advance()
        server.noteLostListener()
        return false
    }

    private func acceptBatch() {
        for _ in 0..<Self.batch {
            switch SocketAddress.accept(on: socket.descriptor) {
            case .connection(let descriptor, let client): take(descriptor, from: client)
            case .none: return
            case .disconnected: continue
            case .noResources:
                // Closes an idle connection; the newcomer stays in the kernel's queue.
                server.connections.cutOne()
                server.noteLackOfDescriptors()
                _ = ending.wait(for: Self.pause)
                return
            }
        }
    }

    private func take(_ accepted: Int32, from peer: SocketAddress.Peer) {
        let now = server.configuration.time.now
        let client = ClientAddress(peer.address)
        let isTooOften = arrivals.withLock { arrivals in
            if client.isKnown, arrivals.balance(for: client, at: now) < 1 { return true }
            arrivals.take(1, for: client, at: now)
            return false
        }
        if isTooOften { return refuse(accepted, .rateLimited, with: refusalOfTooOften) }
        let descriptor = HighDescriptors.move(accepted)
        guard let id = server.connections.admit(descriptor, from: peer.address) else {
            return refuse(descriptor, .refused, with: refusalOfFull)
        }
        // If the library cannot serve it, the library has closed it.
        if !daemon.serve(descriptor, from: peer) { server.connections.remove(id) }
    }

    private func refuse(_ descriptor: Int32, _ reason: CutReason, with response: [UInt8]) {
        server.configuration.onCut(reason)
        SocketAddress.sendQuietly(response, over: descriptor)
        shutdown(descriptor, Int32(SHUT_WR))
        // Unread input would make the peer's kernel discard the response.
        SocketAddress.discardInput(of: descriptor)
        close(descriptor)
    }
}
