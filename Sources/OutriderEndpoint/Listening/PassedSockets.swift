// SPDX-License-Identifier: Apache-2.0
// Sockets that a supervisor opened and passed on: socket activation, as systemd does it.
//
// The supervisor keeps its own copy, so that connections wait there while the service restarts. The
// socket must never be shut down here, which would end it for both.

internal import OutriderThreading

#if canImport(Glibc)
    package import Glibc
#elseif canImport(Musl)
    package import Musl
#else
    package import Darwin
#endif

/// The sockets that were passed to this process, by name (sd_listen_fds(3)).
package struct PassedSockets {
    /// The first descriptor that is passed (SD_LISTEN_FDS_START).
    static let start: Int32 = 3
    /// The name of the socket that an agent takes without configuration.
    static let defaultName = "outrider"
    /// More than any supervisor passes; a larger count is invalid.
    private static let most: Int32 = 1_024

    /// The descriptors in order, each with its name; the name is empty if it has none.
    package let sockets: [(name: String, descriptor: Int32)]

    /// Parses the protocol's environment variables.
    ///
    /// - Parameters:
    ///   - pid: `LISTEN_PID`; sockets for another process are ignored.
    ///   - count: `LISTEN_FDS`.
    ///   - names: `LISTEN_FDNAMES`, separated by colons.
    package init(pid: String?, count: String?, names: String?, process: pid_t) {
        guard let pid, pid_t(pid) == process, let count = count.flatMap(Int32.init),
            count > 0, count <= Self.most
        else {
            sockets = []
            return
        }
        let given = (names ?? "").split(separator: ":", omittingEmptySubsequences: false)
        sockets = (0..<count).map { index in
            let isNamed = Int(index) < given.count
            return (isNamed ? String(given[Int(index)]) : "", Self.start + index)
        }
    }

    /// The sockets of this process.
    static var ofProcess: PassedSockets {
        PassedSockets(
            pid: variable("LISTEN_PID"), count: variable("LISTEN_FDS"),
            names: variable("LISTEN_FDNAMES"), process: getpid())
    }

    private static func variable(_ name: String) -> String? {
        // SAFETY: the text is copied at once. getenv(3) races with setenv(3) in another thread, as
        // everywhere; a supervisor's variables are there from the start.
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe String(cString: value)
    }

    /// The socket of this name; if nil, the one named `outrider`, or the only one.
    package func descriptor(named name: String?) -> Int32? {
        if let name { return sockets.first { $0.name == name }?.descriptor }
        let ours = sockets.first { $0.name == Self.defaultName }
        return ours?.descriptor ?? (sockets.count == 1 ? sockets.first?.descriptor : nil)
    }

    /// Where the socket of this name listens; nil if it is missing or does not listen.
    func address(named name: String?) -> ListenAddress? {
        descriptor(named: name).flatMap(SocketAddress.listening(on:))
    }
}

/// A passed socket in use; only one endpoint of the process can have it.
final class PassedSocket: Sendable {
    private static let inUse = Guarded(Set<Int32>())

    /// Where it listens.
    let address: ListenAddress
    private let original: Int32

    /// Takes the socket for one endpoint, until ``release()``.
    init(named name: String?) throws(EndpointError) {
        let requested = "\(ListenAddress.systemd(name: name))"
        let passed = PassedSockets.ofProcess
        guard let original = passed.descriptor(named: name) else {
            throw EndpointError(.socketNotPassed, context: requested)
        }
        guard let address = SocketAddress.listening(on: original) else {
            throw EndpointError(.socketNotPassed, context: requested, errno: ENOTSOCK)
        }
        guard Self.inUse.withLock({ $0.insert(original).inserted }) else {
            throw EndpointError(.addressInUse, context: requested, errno: EADDRINUSE)
        }
        self.address = address
        self.original = original
        // Programs that the service starts do not inherit it, as in sd_listen_fds(3).
        _ = fcntl(original, F_SETFD, FD_CLOEXEC)
        // accept(2) must not block when a client leaves before it is accepted.
        _ = fcntl(original, F_SETFL, fcntl(original, F_GETFL) | O_NONBLOCK)
    }

    /// A descriptor for one listener, which closes it.
    func copy() -> Int32 { fcntl(original, F_DUPFD_CLOEXEC, 0) }

    /// Releases it for another endpoint of this process.
    func release() {
        _ = Self.inUse.withLock { $0.remove(original) }
    }
}
