// SPDX-License-Identifier: Apache-2.0
// The endpoint: an HTTP server for a handful of pages, over libmicrohttpd.
//
// One thread accepts (Acceptor.swift). The library starts a thread for each connection, which
// blocks in poll(2) while nothing happens: a slow page or a slow reader delays no other client, and
// an idle endpoint never wakes. The library is never asked to suspend a connection, because
// stopping it then aborts the process.

internal import CMicroHTTPD
internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A small HTTP server for pages; it listens from its creation until ``stop()``.
///
/// It keeps running when the last reference to it is gone: only ``stop()`` or the end of the
/// process ends it. Thread-safe. After fork(2), the child's copy can neither serve nor stop the
/// parent's.
public final class Endpoint: Sendable {
    /// Where it listens, with the port that the system chose if port 0 was configured.
    public let address: ListenAddress

    /// Memory for a request's line and headers; libmicrohttpd's default.
    private static let connectionMemory = 32 << 10
    /// Pages render into the heap, so their threads need little stack.
    private static let stackSize = 512 << 10
    /// The longest that ``stop()`` takes.
    private static let stopLimit: Duration = .milliseconds(900)

    /// How long ``stop()`` waits for the clients of a passed socket to leave, in steps.
    private static let closingSteps = 25
    private static let closingStep: Duration = .milliseconds(10)

    private static let unsafeLibraryWarning =
        """
        this libmicrohttpd accepts requests that two parsers could read differently (request smuggling), or could not \
        be tested: each connection is closed after one response
        """

    private let server: Server
    private let configuration: Configuration
    private let process = getpid()
    /// Its descriptor belongs to the acceptor while the endpoint runs.
    private let socket: ListeningSocket
    private let state: Guarded<State>

    private struct Running: Sendable {
        let daemon: Daemon
        let acceptor: Acceptor
    }

    private struct State: Sendable {
        var running: Running?
    }

    /// Starts to listen and to serve `pages`, plus a landing page at `/` that links to them.
    ///
    /// - Throws: ``EndpointError`` if it cannot listen on the address. It then leaves nothing
    ///   behind.
    public init(_ configuration: Configuration, pages: [any Page]) throws(EndpointError) {
        let socket = try ListeningSocket(configuration.address)
        func failed(_ errno: Int32) -> EndpointError {
            socket.abandon()
            return EndpointError(
                .systemFailure, context: "\(configuration.address)", errno: errno)
        }
        guard let stopSignal = StopSignal(time: configuration.time),
            let ending = StopSignal(time: configuration.time)
        else { throw failed(errno) }
        var configuration = configuration
        configuration.address = socket.address
        configuration.limits = configuration.limits.clamped
        server = Server(pages: pages, configuration: configuration, stopSignal: stopSignal)
        if !server.quirks.isSafe { configuration.log(Self.unsafeLibraryWarning) }
        let limits = Daemon.Limits(
            connections: OpenConnections.largest(within: configuration.limits),
            idleSeconds: Int(clamping: configuration.limits.idleTimeout.components.seconds),
            memory: Self.connectionMemory, stack: Self.stackSize)
        let started = Daemon.start(server, filler: stopSignal.descriptor, limits: limits)
        guard let daemon = started else { throw failed(errno) }
        let acceptor = Acceptor(
            socket: socket, server: server, daemon: daemon, ending: ending)
        guard acceptor.start() else {
            daemon.stop(until: configuration.time.now + Self.stopLimit, by: configuration.time)
            throw failed(EAGAIN)
        }
        address = socket.address
        self.socket = socket
        self.configuration = configuration
        state = Guarded(State(running: Running(daemon: daemon, acceptor: acceptor)))
    }

    /// Stops listening, lets requests in flight finish, then closes all connections.
    ///
    /// The listener closes first. Pages in ``Request/pause(for:)`` are woken so that they respond;
    /// requests over open connections get status 503. Returns within a second. A page that takes
    /// longer continues in the background, and its client is disconnected. Calling it again does
    /// nothing; any thread may call it, including a page's.
    public func stop() {
        // In a forked child the threads are gone and the parent still uses the socket; the library
        // would shut it down for both. Even our lock may be held for ever there.
        guard getpid() == process else { return }
        let running = state.withLock { state in
            defer { state.running = nil }
            return state.running
        }
        guard let running else { return }
        let time = configuration.time
        let limit = time.now + Self.stopLimit
        running.acceptor.stop(until: limit, by: time)
        socket.file?.remove()
        if socket.passed != nil { closeIdleClients() }
        // Wakes pages that wait, so that they respond now.
        server.stopSignal.raise()
        server.inFlight.drain(
            until: min(limit, time.now + configuration.limits.drainTimeout), by: time)
        if running.acceptor.hasLostSocket {
            // The library would write to a descriptor that may belong to other code by now.
            server.connections.shutAll()
        } else {
            running.daemon.stop(until: limit, by: time)
        }
        server.connections.cancelTimer()
    }

    /// Makes idle clients reconnect to the next process that gets the socket, without refusing any
    /// of them.
    ///
    /// Clients that were accepted a moment ago, and so cannot wait for that process, get a
    /// response.
    private func closeIdleClients() {
        let time = configuration.time
        for _ in 0..<Self.closingSteps where server.connections.closeIdle() {
            _ = time.wait(for: Latch(), until: time.now + Self.closingStep)
        }
    }
}
