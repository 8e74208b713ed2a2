// SPDX-License-Identifier: Apache-2.0
// A listening socket, opened here rather than by the HTTP library: so that a failure has an errno
// and a remedy, the port chosen for port 0 is known, and a Unix socket is private from the start.

internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A bound, listening, non-blocking socket that child programs do not inherit.
struct ListeningSocket: Sendable {
    /// The descriptor; its new owner closes it.
    var descriptor: Int32 { owned.number }
    private let owned: OwnedDescriptor
    /// The address with the port that the system chose.
    let address: ListenAddress
    /// A Unix socket's file, removed when the endpoint stops.
    let file: SocketFile?
    /// The supervisor's socket, if this is a copy of one.
    let passed: PassedSocket?

    /// Connections that the kernel holds until they are accepted.
    ///
    /// Linux drops connections beyond that, and a client retries only after a second. The kernel
    /// also limits this to net.core.somaxconn.
    private static let backlog: Int32 = 4096

    init(_ address: ListenAddress) throws(EndpointError) {
        guard address.isUsable else {
            throw EndpointError(.invalidAddress, context: "\(address)")
        }
        if case .passed(let name) = address.kind {
            let passed = try PassedSocket(named: name)
            let copy = passed.copy()
            guard copy >= 0 else {
                let failure = errno
                passed.release()
                throw EndpointError(errno: failure, context: "\(address)")
            }
            owned = OwnedDescriptor(HighDescriptors.move(copy))
            self.address = passed.address
            self.passed = passed
            file = nil
            return
        }
        passed = nil
        let family: Int32 =
            switch address.kind {
            case .ipv4: AF_INET
            case .ipv6: AF_INET6
            case .unix, .passed: AF_UNIX
            }
        let descriptor = socket(family, SocketAddress.streamType, 0)
        guard descriptor >= 0 else { throw EndpointError(errno: errno, context: "\(address)") }
        do throws(EndpointError) {
            try Self.bind(descriptor, to: address)
            guard listen(descriptor, Self.backlog) == 0 else {
                throw EndpointError(errno: errno, context: "\(address)")
            }
        } catch {
            close(descriptor)
            throw error
        }
        owned = OwnedDescriptor(HighDescriptors.move(descriptor))
        self.address = SocketAddress.port(of: owned.number).map(address.with(port:)) ?? address
        if case .unix(let path) = address.kind { file = SocketFile(path) } else { file = nil }
    }

    /// Closes it for good; a passed socket keeps listening for the next process.
    func abandon() {
        stopListening()
        file?.remove()
    }

    /// Disconnects newcomers, unless they can wait for the next process, and closes the descriptor;
    /// called once.
    func stopListening() {
        if let passed {
            passed.release()
        } else if owned.isOwn {
            // Shutting down frees the port even if a forked child has a copy of the descriptor.
            shutdown(owned.number, Int32(SHUT_RDWR))
        }
        owned.closeIfOwn()
    }

    /// Whether the descriptor is still the one that was opened.
    var isOwn: Bool { owned.isOwn }

    private static func bind(
        _ descriptor: Int32, to address: ListenAddress
    ) throws(EndpointError) {
        if case .unix(let path) = address.kind {
            try clearStaleSocket(at: path, for: address)
            // Linux gives the file the mode of the unbound socket. umask(2) would affect the whole
            // process, in which other threads may be creating files.
            fchmod(descriptor, 0o600)
        } else {
            // On Linux this only skips the wait for connections of a former process to time out. A
            // port on which another socket listens is still refused.
            try set(SO_REUSEADDR, at: SOL_SOCKET, of: descriptor, to: 1, for: address)
        }
        if case .ipv6 = address.kind {
            // Otherwise net.ipv6.bindv6only decides whether `[::]` takes IPv4 too.
            try set(IPV6_V6ONLY, at: Int32(IPPROTO_IPV6), of: descriptor, to: 0, for: address)
        }
        let failure = unsafe SocketAddress.with(address) { pointer, length in
            unsafe systemBind(descriptor, pointer, length) == 0 ? 0 : errno
        }
        if failure != 0 { throw EndpointError(errno: failure, context: "\(address)") }
        if case .unix(let path) = address.kind { try restrict(path, for: address) }
    }

    private static func set(
        _ option: Int32, at level: Int32, of descriptor: Int32, to value: Int32,
        for address: ListenAddress
    ) throws(EndpointError) {
        var value = value
        let size = socklen_t(MemoryLayout<Int32>.size)
        if unsafe setsockopt(descriptor, level, option, &value, size) != 0 {
            throw EndpointError(errno: errno, context: "\(address)")
        }
    }

    /// Gives a new socket's file the mode 0600 if it differs: umask(2) may have cleared bits.
    ///
    /// If that fails, the file is removed.
    private static func restrict(
        _ path: String, for address: ListenAddress
    ) throws(EndpointError) {
        func mode() -> mode_t? {
            var status = stat()
            return unsafe lstat(path, &status) == 0 ? status.st_mode : nil
        }
        if mode() == S_IFSOCK | 0o600 { return }
        let failed = unsafe fchmodat(AT_FDCWD, path, 0o600, AT_SYMLINK_NOFOLLOW) != 0
        let failure = errno
        if failed || mode() != S_IFSOCK | 0o600 {
            unsafe unlink(path)
            throw EndpointError(errno: failed ? failure : EPERM, context: "\(address)")
        }
    }

    /// Removes a socket on which no process listens any more; leaves anything else at the path
    /// alone.
    private static func clearStaleSocket(
        at path: String, for address: ListenAddress
    ) throws(EndpointError) {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw EndpointError(.unusablePath, context: "\(address)", errno: EEXIST)
        }
        if SocketAddress.acceptsConnections(address) {
            throw EndpointError(.addressInUse, context: "\(address)", errno: EADDRINUSE)
        }
        unsafe unlink(path)
    }
}

private func systemBind(
    _ descriptor: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t
) -> Int32 {
    unsafe bind(descriptor, address, length)
}
