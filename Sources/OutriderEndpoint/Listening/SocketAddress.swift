// SPDX-License-Identifier: Apache-2.0
// Conversions to and from `sockaddr` and its variants.

internal import CMicroHTTPD

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Addresses in the form that system calls take.
package enum SocketAddress {
    /// A non-blocking stream socket that child programs do not inherit.
    static var streamType: Int32 {
        #if canImport(Glibc)
            Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        #elseif canImport(Musl)
            SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK
        #else
            SOCK_STREAM
        #endif
    }

    /// Flags for a send(2) that neither blocks nor raises SIGPIPE.
    static var quietSend: Int32 {
        #if os(Linux)
            Int32(MSG_DONTWAIT | MSG_NOSIGNAL)
        #else
            Int32(MSG_DONTWAIT)
        #endif
    }

    /// Sends as much as fits into the socket's buffer.
    static func sendQuietly(_ bytes: [UInt8], over descriptor: Int32) {
        unsafe bytes.withUnsafeBytes { bytes in
            // SAFETY: the bytes are borrowed for one call that does not block.
            _ = unsafe send(descriptor, bytes.baseAddress, bytes.count, quietSend)
        }
    }

    /// Reads and discards input that has arrived, at most some kilobytes.
    static func discardInput(of descriptor: Int32) {
        var bytes = [UInt8](repeating: 0, count: 4_096)
        _ = unsafe recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
    }

    /// Flags for a recv(2) that neither blocks nor consumes input.
    static var quietPeek: Int32 { Int32(MSG_DONTWAIT) | Int32(MSG_PEEK) }

    /// Whether `host` is a numeric address (inet_pton(3)).
    static func isValid(_ host: String, isIPv6: Bool) -> Bool {
        if isIPv6 {
            var address = in6_addr()
            return unsafe inet_pton(AF_INET6, host, &address) == 1
        }
        var address = in_addr()
        return unsafe inet_pton(AF_INET, host, &address) == 1
    }

    /// Whether `host` is `::1`, in any spelling.
    static func isLoopback(ipv6 host: String) -> Bool {
        var address = in6_addr()
        guard unsafe inet_pton(AF_INET6, host, &address) == 1 else { return false }
        return unsafe withUnsafeBytes(of: &address) { bytes in
            unsafe bytes.last == 1 && bytes.dropLast().allSatisfy { $0 == 0 }
        }
    }

    /// Calls `body` with the address as a `sockaddr`.
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
            unsafe withUnsafeMutableBytes(of: &storage.sun_path) { pointer in
                // `ListeningSocket` has checked that the path is shorter than the field, which is
                // zeroed.
                unsafe pointer.copyBytes(from: Array(path.utf8).prefix(pointer.count - 1))
            }
            return unsafe rebound(&storage, body)
        case .passed:
            // It is already bound.
            return EINVAL
        }
    }

    /// Where a stream socket listens; nil for anything else.
    package static func listening(on descriptor: Int32) -> ListenAddress? {
        guard option(SO_ACCEPTCONN, of: descriptor) == 1,
            option(SO_TYPE, of: descriptor) == streamType & 0xf
        else { return nil }
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return unsafe withUnsafeMutablePointer(to: &storage) { pointer -> ListenAddress? in
            // SAFETY: getsockname(2) writes at most `length` bytes, and every sockaddr_… fits into
            // sockaddr_storage. Only the variant that the family names is read.
            let isKnown = unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &length) == 0
            }
            guard isKnown else { return nil }
            switch unsafe Int32(pointer.pointee.ss_family) {
            case AF_INET:
                return unsafe pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { own in
                    let port = unsafe UInt16(bigEndian: own.pointee.sin_port)
                    let host = unsafe numericHost(AF_INET, &own.pointee.sin_addr)
                    return ListenAddress(kind: .ipv4(host: host, port: port))
                }
            case AF_INET6:
                return unsafe pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { own in
                    let port = unsafe UInt16(bigEndian: own.pointee.sin6_port)
                    let host = unsafe numericHost(AF_INET6, &own.pointee.sin6_addr)
                    return ListenAddress(kind: .ipv6(host: host, port: port))
                }
            case AF_UNIX:
                let bytes = unsafe UnsafeRawBufferPointer(start: pointer, count: Int(length))
                let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
                // A name in the abstract namespace begins with a zero, written as @ (unix(7)).
                var path = unsafe Array(bytes.dropFirst(offset))
                if path.first == 0 { path[0] = UInt8(ascii: "@") }
                let text = String(decoding: path.prefix { $0 != 0 }, as: UTF8.self)
                return ListenAddress(kind: .unix(path: text))
            default:
                return nil
            }
        }
    }

    /// The address in numeric form (inet_ntop(3)).
    private static func numericHost(_ family: Int32, _ address: UnsafeRawPointer) -> String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        // SAFETY: inet_ntop(3) writes at most the size it is given, with a zero at the end.
        return unsafe text.withUnsafeMutableBufferPointer { pointer in
            let size = socklen_t(pointer.count)
            guard let start = unsafe inet_ntop(family, address, pointer.baseAddress, size) else {
                return ""
            }
            return unsafe String(cString: start)
        }
    }

    private static func option(_ name: Int32, of descriptor: Int32) -> Int32? {
        var value: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        let failed = unsafe getsockopt(descriptor, SOL_SOCKET, name, &value, &size)
        return failed == 0 ? value : nil
    }

    /// The port that a TCP socket is bound to; nil for a Unix socket.
    static func port(of descriptor: Int32) -> UInt16? {
        var storage = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let failed = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            // SAFETY: getsockname(2) writes at most `length` bytes; sockaddr_in fits into
            // sockaddr_in6, with family and port at the same offsets.
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &length)
            }
        }
        let family = Int32(storage.sin6_family)
        guard failed == 0, family == AF_INET || family == AF_INET6 else { return nil }
        return UInt16(bigEndian: storage.sin6_port)
    }

    /// Whether a process accepts connections there.
    static func acceptsConnections(_ address: ListenAddress) -> Bool {
        let descriptor = socket(AF_UNIX, streamType, 0)
        guard descriptor >= 0 else { return true }
        defer { close(descriptor) }
        let failure = unsafe with(address) { pointer, length in
            unsafe connect(descriptor, pointer, length) == 0 ? 0 : errno
        }
        // A full backlog (EAGAIN) also means a listener; when in doubt, the socket is not ours to
        // remove.
        return failure != ECONNREFUSED
    }

    private static func rebound<Storage>(
        _ storage: inout Storage, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        unsafe withUnsafePointer(to: &storage) { pointer in
            // SAFETY: every sockaddr_… starts like sockaddr, and its true size is passed along.
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<Storage>.size))
            }
        }
    }
}

extension SocketAddress {
    /// The other end of a connection.
    struct Peer: @unchecked Sendable {
        // SAFETY: plain bytes.
        var storage: sockaddr_storage
        var length: socklen_t

        /// Its IP address, 4 or 16 bytes; empty for a Unix socket.
        var address: [UInt8] {
            let family = Int32(storage.ss_family)
            return unsafe withUnsafeBytes(of: storage) { bytes in
                switch family {
                case AF_INET:
                    let offset = MemoryLayout<sockaddr_in>.offset(of: \.sin_addr) ?? 4
                    return unsafe Array(bytes[offset..<offset + 4])
                case AF_INET6:
                    let offset = MemoryLayout<sockaddr_in6>.offset(of: \.sin6_addr) ?? 8
                    return unsafe Array(bytes[offset..<offset + 16])
                default: return []
                }
            }
        }
    }

    /// The result of accept(2).
    enum Accepted {
        case connection(Int32, Peer)
        /// No connection is waiting.
        case none
        /// A connection was waiting, but its client has left.
        case disconnected
        /// No descriptor is left, or no memory.
        case noResources
    }

    /// Accepts a non-blocking connection that child programs do not inherit.
    static func accept(on listening: Int32) -> Accepted {
        var peer = Peer(
            storage: sockaddr_storage(),
            length: socklen_t(MemoryLayout<sockaddr_storage>.size))
        let descriptor = unsafe withUnsafeMutablePointer(to: &peer.storage) { pointer in
            // SAFETY: accept(2) writes at most `length` bytes.
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe systemAccept(listening, $0, &peer.length)
            }
        }
        if descriptor >= 0 { return .connection(descriptor, peer) }
        switch errno {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .noResources
        case EAGAIN, EBADF, EINVAL, ENOTSOCK: return .none
        default: return .disconnected
        }
    }
}

private func systemAccept(
    _ listening: Int32, _ address: UnsafeMutablePointer<sockaddr>,
    _ length: UnsafeMutablePointer<socklen_t>
) -> Int32 {
    #if os(Linux)
        return unsafe outrider_accept(listening, address, length)
    #else
        let descriptor = unsafe accept(listening, address, length)
        if descriptor >= 0 {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        }
        return descriptor
    #endif
}
