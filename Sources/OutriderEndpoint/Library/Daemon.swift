// SPDX-License-Identifier: Apache-2.0
// libmicrohttpd's daemon, and the memory that Swift keeps alive for it.

internal import CMicroHTTPD
internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A running daemon.
///
/// Its owner stops it, exactly once.
@safe struct Daemon: @unchecked Sendable {
    // SAFETY: the library's functions on a daemon may be called from any thread; `Endpoint`
    // calls `stop` once.
    struct Limits {
        let connections: Int
        let idleSeconds: Int
        let memory: Int
        let stack: Int
    }

    private let handle: UnsafeMutableRawPointer
    private let callbacks: UnsafeMutablePointer<outrider_mhd_callbacks>
    private let server: Unmanaged<Server>

    /// Starts a daemon without connections; nil if the library cannot start its thread.
    ///
    /// `filler` is any descriptor of ours; see ``HighDescriptors/withLowDescriptorsTaken(by:_:)``.
    static func start(_ server: Server, filler: Int32, limits: Limits) -> Daemon? {
        Panic.disarm(log: server.configuration.log)
        let retained = unsafe Unmanaged.passRetained(server)
        let callbacks = UnsafeMutablePointer<outrider_mhd_callbacks>.allocate(capacity: 1)
        unsafe callbacks.initialize(to: makeCallbacks(unsafe retained.toOpaque()))
        let handle = unsafe withSignalsBlocked {
            // The library opens an eventfd, which its threads write to.
            unsafe HighDescriptors.withLowDescriptorsTaken(by: filler) {
                unsafe outrider_mhd_start(
                    callbacks,
                    outrider_mhd_limits(
                        connections: UInt32(clamping: limits.connections),
                        idle_seconds: UInt32(clamping: limits.idleSeconds), memory: limits.memory,
                        stack: limits.stack), server.quirks.isStrict ? 1 : 0)
            }
        }
        guard let handle = unsafe handle else {
            unsafe callbacks.deallocate()
            unsafe retained.release()
            return nil
        }
        return unsafe Daemon(handle: handle, callbacks: callbacks, server: retained)
    }

    /// Serves a connection on its own thread; the library owns the descriptor from then on.
    ///
    /// - Returns: False on failure; the library has then closed the descriptor.
    func serve(_ descriptor: Int32, from peer: SocketAddress.Peer) -> Bool {
        var storage = peer.storage
        return unsafe withUnsafePointer(to: &storage) { pointer in
            // SAFETY: every sockaddr_… starts like sockaddr, and its true size goes along.
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe outrider_mhd_serve(handle, descriptor, $0, peer.length) == 1
            }
        }
    }

    /// Closes all connections and frees everything; waits for that until `deadline` at most.
    ///
    /// The library joins its threads. One of them may be in a slow page or may be the calling
    /// thread, so a thread of ours does this.
    ///
    /// The connections are closed first. While the library stops, it queues no response but reports
    /// success: where it refuses a request by itself at that moment, 0.9.75 reads the missing
    /// response.
    func stop(until deadline: ContinuousClock.Instant, by time: any TimeSource) {
        let done = Latch()
        let isStarted = DetachedThread.start { [self] in
            unsafe server.takeUnretainedValue().connections.endAll()
            unsafe outrider_mhd_stop(handle)
            unsafe callbacks.deallocate()
            unsafe server.release()
            done.open()
        }
        // If no thread can be started, the daemon stays quiesced, which is harmless.
        if isStarted { _ = time.wait(for: done, until: deadline) }
    }

    private static func makeCallbacks(
        _ context: UnsafeMutableRawPointer
    ) -> outrider_mhd_callbacks {
        // SAFETY (of every `reachServer(…)` below): the daemon keeps its server retained until the
        // library has joined all of its threads, so no callback comes later.
        unsafe outrider_mhd_callbacks(
            context: context,
            opened: { context, descriptor in
                unsafe reachServer(context)?.connections.serve(descriptor) ?? 0
            },
            closed: { context, client in
                unsafe reachServer(context)?.connections.remove(client)
            },
            target: { context, client, raw in
                unsafe reachServer(context)?.connections.noteTarget(client)
                // SAFETY: the library hands out a C string, or nothing; its bytes are read as
                // unsigned.
                let size = unsafe raw.map { unsafe strlen($0) } ?? 0
                let bytes = unsafe UnsafeRawBufferPointer(start: raw, count: size)
                let exchange = unsafe bytes.withMemoryRebound(to: UInt8.self) {
                    unsafe Exchange(target: $0, connection: client)
                }
                return unsafe Unmanaged.passRetained(exchange).toOpaque()
            },
            request: { context, connection, path, method, version, state in
                guard let server = unsafe reachServer(context), let connection = unsafe connection,
                    let path = unsafe path, let method = unsafe method,
                    let version = unsafe version, let state = unsafe state
                else { return 0 }
                // SAFETY: what `target` retained, until `completed` releases it.
                let exchange = unsafe Unmanaged<Exchange>.fromOpaque(state).takeUnretainedValue()
                let goOn = unsafe server.handle(
                    connection, path: path, method: method, version: version, exchange)
                return goOn ? 1 : 0
            },
            completed: { context, state, isSent in
                guard let state = unsafe state else { return }
                // SAFETY: the shim calls this once for each request whose target was seen.
                let exchange = unsafe Unmanaged<Exchange>.fromOpaque(state).takeRetainedValue()
                unsafe reachServer(context)?.complete(exchange, isSent: isSent != 0)
            },
            log: { context, message in
                if let message = unsafe message { unsafe reachServer(context)?.log(message) }
            })
    }
}

private func reachServer(_ context: UnsafeMutableRawPointer?) -> Server? {
    guard let context = unsafe context else { return nil }
    return unsafe Unmanaged<Server>.fromOpaque(context).takeUnretainedValue()
}
