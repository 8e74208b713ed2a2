// SPDX-License-Identifier: Apache-2.0
// The error of an endpoint that cannot listen, with a remedy.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// An endpoint could not be started.
public struct EndpointError: Error, Hashable, Sendable {
    /// The kind of failure; later versions may add codes.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// The code as the value of the metric label `reason`.
        public let description: String

        /// ``ListenAddress`` cannot parse the address.
        public static let invalidAddress = Code(description: "invalid_address")
        /// Another socket listens there.
        public static let addressInUse = Code(description: "address_in_use")
        /// No interface of this machine has the address.
        public static let addressNotAvailable = Code(description: "address_not_available")
        /// The process may not listen there.
        public static let permissionDenied = Code(description: "permission_denied")
        /// A Unix socket's directory is missing, or another kind of file has its path.
        public static let unusablePath = Code(description: "unusable_path")
        /// No supervisor passed a listening socket by this name.
        public static let socketNotPassed = Code(description: "socket_not_passed")
        /// The system call failed for another reason, given by ``EndpointError/errno``.
        public static let systemFailure = Code(description: "system_failure")
    }

    /// The kind of failure.
    public let code: Code
    /// The address, as it was given.
    public let context: String
    /// The `errno` of the system call; 0 if there was none.
    public let errno: Int32

    init(_ code: Code, context: String, errno: Int32 = 0) {
        self.code = code
        self.context = context
        self.errno = errno
    }

    /// The error for a system call that failed while starting to listen.
    init(errno: Int32, context: String) {
        let code: Code =
            switch errno {
            case EADDRINUSE: .addressInUse
            case EADDRNOTAVAIL: .addressNotAvailable
            case EACCES, EPERM: .permissionDenied
            case ENOENT, ENOTDIR, EROFS: .unusablePath
            default: .systemFailure
            }
        self.init(code, context: context, errno: errno)
    }
}

extension EndpointError: CustomStringConvertible {
    /// The error and its remedy, in sentences.
    public var description: String {
        description(setBy: "Configuration.address or OUTRIDER_ADDRESS")
    }

    /// The same for an address that comes from other settings.
    package func description(setBy settings: String) -> String {
        switch code {
        case .invalidAddress:
            """
            "\(context)" is not a listen address; write 127.0.0.1:9464, [::1]:9464, \
            localhost:9464, systemd, systemd:NAME or unix:/path/to/socket (at most \
            \(ListenAddress.longestUnixPath) bytes)
            """
        case .addressInUse:
            """
            cannot listen on \(context): address in use. Another agent may be running; choose \
            another address with \(settings) (port 0 = any free port)
            """
        case .addressNotAvailable:
            """
            cannot listen on \(context): no interface of this machine has that address. Use \
            127.0.0.1, or 0.0.0.0 for all interfaces, in \(settings)
            """
        case .permissionDenied:
            """
            cannot listen on \(context): permission denied. Ports below 1024 and other users' \
            directories need privileges; choose another address with \(settings)
            """
        case .unusablePath:
            """
            cannot listen on \(context): its directory is missing or read-only, or the path exists \
            and is not a socket. Create the directory or choose another path
            """
        case .socketNotPassed:
            """
            cannot listen on \(context): no listening stream socket was passed to this process \
            under that name. Start it from a .socket unit with FileDescriptorName=outrider \
            (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES), or choose an address with \(settings)
            """
        default:
            "cannot listen on \(context): \(Self.text(of: errno)) (errno \(errno))"
        }
    }

    private static func text(of errno: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 128)
        // SAFETY: strerror_r(3) writes at most the size it is given.
        return unsafe buffer.withUnsafeMutableBufferPointer { memory in
            guard let start = memory.baseAddress else { return "" }
            guard unsafe strerror_r(errno, start, memory.count) == 0 else { return "" }
            return unsafe String(cString: start)
        }
    }
}
