// SPDX-License-Identifier: Apache-2.0
// A socket that listens, made by ourselves rather than by the HTTP library: so that a failure has
// an errno and a remedy, port 0 can be told, and a Unix socket is nobody else's from the start.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A bound, listening, non-blocking socket that is not inherited by programs the service starts.
struct ListeningSocket: Sendable {
    /// The descriptor; whoever takes it closes it.
    let descriptor: Int32
    /// The address with the port that the system chose.
    let address: ListenAddress
    /// A Unix socket's file, to be removed when the endpoint stops.
    let file: SocketFile?

    /// Connections that the kernel holds until they are accepted.
    private static let backlog: Int32 = 128

    init(_ address: ListenAddress) throws(EndpointError) {
        let family: Int32 =
            switch address.kind {
            case .ipv4: AF_INET
            case .ipv6: AF_INET6
            case .unix: AF_UNIX
            }
        #if os(Linux)
            let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        #else
            let type = SOCK_STREAM
        #endif
        let descriptor = socket(family, type, 0)
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
        self.descriptor = descriptor
        self.address = SocketAddress.port(of: descriptor).map(address.with(port:)) ?? address
        if case .unix(let path) = address.kind { file = SocketFile(path) } else { file = nil }
    }

    private static func bind(
        _ descriptor: Int32, to address: ListenAddress
    ) throws(EndpointError) {
        if case .unix(let path) = address.kind {
            try clearStaleSocket(at: path, for: address)
            // Linux gives the file the mode of the unbound socket. umask(2) would do it for the
            // whole process, in which other threads may be making files just now.
            fchmod(descriptor, 0o600)
        } else {
            // On Linux this only means: do not wait for connections of a former process to
            // time out. A port that somebody listens on stays refused.
            var yes: Int32 = 1
            let size = socklen_t(MemoryLayout<Int32>.size)
            unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, size)
        }
        let failure = unsafe SocketAddress.with(address) { pointer, length in
            unsafe systemBind(descriptor, pointer, length) == 0 ? 0 : errno
        }
        if failure != 0 { throw EndpointError(errno: failure, context: "\(address)") }
    }

    /// Removes a socket that nobody listens on any more; anything else at the path is left alone.
    private static func clearStaleSocket(
        at path: String, for address: ListenAddress
    ) throws(EndpointError) {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw EndpointError(.unusablePath, context: "\(address)", errno: EEXIST)
        }
        if SocketAddress.answers(address) {
            throw EndpointError(.addressInUse, context: "\(address)", errno: EADDRINUSE)
        }
        unsafe unlink(path)
    }
}

/// The file of a Unix socket, recognised by its inode.
struct SocketFile: Sendable {
    private let path: String
    private let device: UInt64
    private let inode: UInt64

    init?(_ path: String) {
        guard let (device, inode) = Self.identity(of: path) else { return nil }
        self.path = path
        self.device = device
        self.inode = inode
    }

    /// Removes the file, unless another process has put its own in its place.
    func remove() {
        guard let (device, inode) = Self.identity(of: path) else { return }
        if device == self.device, inode == self.inode { unsafe unlink(path) }
    }

    private static func identity(of path: String) -> (UInt64, UInt64)? {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return nil }
        return (UInt64(status.st_dev), UInt64(status.st_ino))
    }
}

private func systemBind(
    _ descriptor: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t
) -> Int32 {
    unsafe bind(descriptor, address, length)
}

/// `sockaddr` and its relatives, in one place.
enum SocketAddress {
    /// Whether `host` is an address in numbers (inet_pton(3)).
    static func isValid(_ host: String, isIPv6: Bool) -> Bool {
        if isIPv6 {
            var address = in6_addr()
            return unsafe inet_pton(AF_INET6, host, &address) == 1
        }
        var address = in_addr()
        return unsafe inet_pton(AF_INET, host, &address) == 1
    }

    /// Calls `body` with the address as the system wants it.
    static func with(
        _ address: ListenAddress, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        switch address.kind {
        case .ipv4(let host, let port):
            var storage = sockaddr_in()
            storage.sin_family = sa_family_t(AF_INET)
            storage.sin_port = port.bigEndian
            unsafe inet_pton(AF_INET, host, &storage.sin_addr)
            return unsafe rebound(&storage, body)
        case .ipv6(let host, let port):
            var storage = sockaddr_in6()
            storage.sin6_family = sa_family_t(AF_INET6)
            storage.sin6_port = port.bigEndian
            unsafe inet_pton(AF_INET6, host, &storage.sin6_addr)
            return unsafe rebound(&storage, body)
        case .unix(let path):
            var storage = sockaddr_un()
            storage.sun_family = sa_family_t(AF_UNIX)
            unsafe withUnsafeMutableBytes(of: &storage.sun_path) { place in
                // The path is shorter than the place, which is zero: `ListenAddress` saw to it.
                unsafe place.copyBytes(from: Array(path.utf8).prefix(place.count - 1))
            }
            return unsafe rebound(&storage, body)
        }
    }

    /// The port that a TCP socket is bound to; nil for a Unix socket.
    static func port(of descriptor: Int32) -> UInt16? {
        var storage = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let failed = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            // SAFETY: getsockname(2) writes at most `length` bytes; IPv4's fits into IPv6's, with
            // family and port at the same place.
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &length)
            }
        }
        let family = Int32(storage.sin6_family)
        guard failed == 0, family == AF_INET || family == AF_INET6 else { return nil }
        return UInt16(bigEndian: storage.sin6_port)
    }

    /// Whether somebody accepts connections there.
    static func answers(_ address: ListenAddress) -> Bool {
        #if os(Linux)
            let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        #else
            let type = SOCK_STREAM
        #endif
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { return true }
        defer { close(descriptor) }
        let failure = unsafe with(address) { pointer, length in
            unsafe connect(descriptor, pointer, length) == 0 ? 0 : errno
        }
        // A full backlog (EAGAIN) is somebody too; when in doubt it is not ours to remove.
        return failure != ECONNREFUSED
    }

    private static func rebound<Storage>(
        _ storage: inout Storage, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        unsafe withUnsafePointer(to: &storage) { pointer in
            // SAFETY: every sockaddr_… starts like sockaddr, and its true size goes along.
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<Storage>.size))
            }
        }
    }
}
