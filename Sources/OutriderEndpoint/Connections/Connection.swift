// SPDX-License-Identifier: Apache-2.0
// One open connection, and what it is doing.
//
//     accepted ─▶ waiting ──request complete──▶ answering ──first bytes──▶ sending ──done──▶ waiting
//                 10 s (then 75 + 10 s)          the page's time            300 s, and not
//                                                                           stalled when its place
//                                                                           is needed

internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// An open connection.
struct OpenConnection: Sendable {
    enum Phase: Sendable {
        case waiting
        case answering
        case sending(page: Int?)
    }

    /// A client that has read nothing for this long may lose its place to one that would.
    static let stallTime: Duration = .milliseconds(100)
    /// A client that has not asked for anything for this long has had the time to do so.
    static let timeToAsk: Duration = .milliseconds(100)

    let descriptor: OwnedDescriptor
    let client: ClientAddress
    var phase = Phase.waiting
    /// When it last moved on.
    var since: ContinuousClock.Instant
    /// When it is ended; nil while a page answers.
    var deadline: ContinuousClock.Instant?
    var isCut = false
    /// Whether the library has begun to serve it.
    var isServed = false
    /// The thread that serves it, known from its first request on.
    var thread: UInt?

    init(
        _ descriptor: Int32, from client: ClientAddress, since: ContinuousClock.Instant,
        deadline: ContinuousClock.Instant
    ) {
        self.descriptor = OwnedDescriptor(descriptor)
        self.client = client
        self.since = since
        self.deadline = deadline
    }

    var isWaiting: Bool { if case .waiting = phase { true } else { false } }

    /// Whether its client has read nothing for a while.
    func isStalled(at now: ContinuousClock.Instant) -> Bool {
        guard !isCut, case .sending = phase else { return false }
        return now - since >= Self.stallTime
    }

    /// Whether its client had time to ask for something, and did not.
    func isIdle(at now: ContinuousClock.Instant) -> Bool {
        !isCut && isWaiting && now - since >= Self.timeToAsk
    }

    /// Whether a client has sent nothing that its thread has not read yet.
    var isSilent: Bool {
        guard descriptor.isOwn else { return true }
        var byte: UInt8 = 0
        return unsafe recv(descriptor.number, &byte, 1, SocketAddress.quietPeek) <= 0
    }

    /// Whether its client has closed its end, or at least says no more; all that it said was read.
    var hasLeft: Bool {
        guard descriptor.isOwn else { return true }
        var byte: UInt8 = 0
        let count = unsafe recv(descriptor.number, &byte, 1, SocketAddress.quietPeek)
        return count == 0 || count < 0 && errno != EAGAIN && errno != EINTR
    }

    /// Shuts both directions, or one; returns false if the descriptor is not ours any more, which is left alone then.
    func shut(_ how: Int32) -> Bool {
        guard descriptor.isOwn else { return false }
        shutdown(descriptor.number, how)
        return true
    }
}

/// Who is at the other end, as far as limits are concerned.
///
/// Four bytes for IPv4, also where it is written as IPv6 (RFC 4291, 2.5.5.2). The network of 64 bits for IPv6, since
/// one customer of a provider has all of its addresses. Empty for a Unix socket, whose clients cannot be told apart.
package struct ClientAddress: Hashable, Sendable {
    /// The bytes that count.
    package let bytes: [UInt8]

    /// An address of four or sixteen bytes, or none.
    package init(_ address: [UInt8]) {
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        let isLoopback = address.last == 1 && address.dropLast().allSatisfy { $0 == 0 }
        if address.count == 16, address.starts(with: mapped) {
            bytes = Array(address.suffix(4))
        } else if address.count == 16, !isLoopback {
            bytes = Array(address.prefix(8))
        } else {
            bytes = address
        }
    }

    /// Whether it tells clients apart.
    var isKnown: Bool { !bytes.isEmpty }
}
