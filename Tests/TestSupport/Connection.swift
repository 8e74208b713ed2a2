// SPDX-License-Identifier: Apache-2.0
// A client that sends raw bytes and returns exactly what it receives.

internal import Glibc
public import OutriderEndpoint

/// One HTTP response.
public struct RawResponse: Sendable {
    /// The status code of the status line.
    public let status: Int
    /// Status line and header fields.
    public let head: String
    /// The body.
    public let body: [UInt8]

    /// The value of a header field, or nil.
    public func header(_ name: String) -> String? {
        for line in head.split(separator: "\r\n").dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2, parts[0].lowercased() == name.lowercased() {
                return String(parts[1].drop { $0 == " " })
            }
        }
        return nil
    }

    /// The body as text.
    public var text: String { String(decoding: body, as: UTF8.self) }
}

/// The failure of a connection.
public struct ConnectionFailure: Error, CustomStringConvertible {
    /// A description of the failure.
    public let description: String
}

/// A connection to an endpoint; every wait has a limit, which only a broken server exceeds.
public final class Connection {
    private let descriptor: Int32
    private var buffer: [UInt8] = []

    /// Connects, or throws an error with errno.
    ///
    /// - Parameter source: The loopback address to connect from, for IPv4.
    public init(_ address: ListenAddress, from source: String = "127.0.0.1") throws {
        let text = "\(address)"
        let isUnix = text.hasPrefix("unix:")
        let isIPv6 = text.hasPrefix("[")
        let family = isUnix ? AF_UNIX : isIPv6 ? AF_INET6 : AF_INET
        descriptor = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var failed: Int32 = -1
        if isUnix {
            var storage = sockaddr_un()
            storage.sun_family = sa_family_t(AF_UNIX)
            unsafe withUnsafeMutableBytes(of: &storage.sun_path) {
                unsafe $0.copyBytes(from: Array(text.utf8.dropFirst(5)))
            }
            failed = connect(descriptor, to: &storage)
        } else if isIPv6 {
            var storage = sockaddr_in6()
            storage.sin6_family = sa_family_t(AF_INET6)
            storage.sin6_port = UInt16(address.port ?? 0).bigEndian
            unsafe storage.sin6_addr.__in6_u.__u6_addr8.15 = 1
            failed = connect(descriptor, to: &storage)
        } else {
            var own = sockaddr_in()
            own.sin_family = sa_family_t(AF_INET)
            unsafe inet_pton(AF_INET, source, &own.sin_addr)
            if source != "127.0.0.1" { bind(descriptor, to: &own) }
            var storage = sockaddr_in()
            storage.sin_family = sa_family_t(AF_INET)
            storage.sin_port = UInt16(address.port ?? 0).bigEndian
            storage.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            failed = connect(descriptor, to: &storage)
        }
        if failed != 0 {
            // `deinit` closes the descriptor: it runs for a fully initialized object, even if its
            // initializer throws.
            let number = errno
            throw ConnectionFailure(description: "connect to \(text): errno \(number)")
        }
    }

    deinit { close(descriptor) }

    /// Sends the text as UTF-8.
    public func send(_ text: String) throws {
        try send(bytes: Array(text.utf8))
    }

    /// Sends bytes.
    public func send(bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let sent = unsafe rest.withUnsafeBytes {
                unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if sent <= 0 { throw ConnectionFailure(description: "send: errno \(errno)") }
            rest = rest.dropFirst(sent)
        }
    }

    /// Shuts down the sending side of the connection.
    public func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Reads one response; with `isHead` it has no body, whatever its headers say.
    public func response(isHead: Bool = false, within seconds: Int = 120) throws -> RawResponse {
        let limit = ContinuousClock.now + .seconds(seconds)
        let separator = Array("\r\n\r\n".utf8)
        var end: Int?
        while end == nil {
            end = firstRange(of: separator)
            if end == nil, try !fill(until: limit) {
                throw ConnectionFailure(description: "closed in the middle of a head")
            }
        }
        let bodyStart = end ?? 0
        let head = String(decoding: buffer[..<bodyStart], as: UTF8.self)
        let status = head.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        let plain = RawResponse(status: status, head: head, body: [])
        let length = isHead ? 0 : plain.header("Content-Length").flatMap { Int($0) } ?? 0
        while buffer.count < bodyStart + length {
            if try !fill(until: limit) {
                throw ConnectionFailure(description: "closed in the middle of a body")
            }
        }
        let body = Array(buffer[bodyStart..<bodyStart + length])
        buffer.removeFirst(bodyStart + length)
        return RawResponse(status: status, head: head, body: body)
    }

    /// Reads `count` bytes, or fewer if the peer closes the connection first.
    public func bytes(_ count: Int, within seconds: Int = 120) throws -> [UInt8] {
        let limit = ContinuousClock.now + .seconds(seconds)
        while buffer.count < count, try fill(until: limit) {}
        defer { buffer.removeFirst(min(count, buffer.count)) }
        return Array(buffer.prefix(count))
    }

    /// Reads up to and including `ending`.
    public func text(upTo ending: String, within seconds: Int = 120) throws -> String {
        let limit = ContinuousClock.now + .seconds(seconds)
        let separator = Array(ending.utf8)
        while true {
            if let end = firstRange(of: separator) {
                defer { buffer.removeFirst(end) }
                return String(decoding: buffer[..<end], as: UTF8.self)
            }
            if try !fill(until: limit) {
                throw ConnectionFailure(description: "closed before \(ending) arrived")
            }
        }
    }

    /// Reads until the peer closes the connection or the time is up; returns the number of bytes.
    @discardableResult
    public func drain(within seconds: Int = 120) -> Int {
        let limit = ContinuousClock.now + .seconds(seconds)
        var count = buffer.count
        buffer.removeAll()
        while (try? fill(until: limit)) == true {
            count += buffer.count
            buffer.removeAll()
        }
        return count
    }

    /// Makes the close of this connection abrupt: the peer gets a reset, and data in transit is
    /// lost.
    public func hangUpAbruptly() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        // SAFETY: The call reads this many bytes and keeps no pointer.
        _ = unsafe setsockopt(
            descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
    }

    /// Whether the peer closes the connection in time, without sending more.
    public func isClosed(withinMilliseconds milliseconds: Int = 120_000) -> Bool {
        let limit = ContinuousClock.now + .milliseconds(milliseconds)
        return buffer.isEmpty && (try? fill(until: limit)) == false
    }

    private func firstRange(of separator: [UInt8]) -> Int? {
        guard buffer.count >= separator.count else { return nil }
        for start in 0...(buffer.count - separator.count)
        where buffer[start..<start + separator.count] == separator[...] {
            return start + separator.count
        }
        return nil
    }

    /// Reads more; returns false at the end of the stream.
    private func fill(until limit: ContinuousClock.Instant) throws -> Bool {
        let left = max(0, Int((limit - .now) / .milliseconds(1)))
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&waiting, 1, Int32(left)) > 0 else {
            throw ConnectionFailure(description: "no response in time")
        }
        var part = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe part.withUnsafeMutableBytes {
            unsafe recv(descriptor, $0.baseAddress, $0.count, 0)
        }
        if count < 0 && errno != ECONNRESET {
            throw ConnectionFailure(description: "recv: errno \(errno)")
        }
        buffer += part.prefix(max(0, count))
        return count > 0
    }
}

private func bind<Storage>(_ descriptor: Int32, to storage: inout Storage) {
    unsafe withUnsafePointer(to: &storage) { pointer in
        // SAFETY: As in `connect`.
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            _ = unsafe Glibc.bind(descriptor, $0, socklen_t(MemoryLayout<Storage>.size))
        }
    }
}

private func connect<Storage>(_ descriptor: Int32, to storage: inout Storage) -> Int32 {
    unsafe withUnsafePointer(to: &storage) { pointer in
        // SAFETY: Every sockaddr_… starts like sockaddr, and its true size is passed along.
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            unsafe Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<Storage>.size))
        }
    }
}

/// Sends one request over a new connection and returns the response.
public func fetch(
    _ target: String, from address: ListenAddress, method: String = "GET"
) throws -> RawResponse {
    let connection = try Connection(address)
    try connection.send("\(method) \(target) HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return try connection.response(isHead: method == "HEAD")
}
