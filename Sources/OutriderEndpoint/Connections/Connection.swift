// SPDX-License-Identifier: Apache-2.0
// One open connection and its state.
//
//    accepted ─▶ waiting ──request complete──▶ answering ──first bytes──▶ sending ──done──▶ waiting
//                10 s (then 75 + 10 s)          the page's time            300 s, and not
//                                                                          stalled when its slot
//                                                                          is needed

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
        case responding
        case sending(page: Int?)
    }

    /// A client that has read nothing for this long may lose its connection to a newcomer.
    static let stallThreshold: Duration = .milliseconds(100)
    /// A client that has sent no request within this time counts as idle.
    static let idleThreshold: Duration = .milliseconds(100)

    let descriptor: OwnedDescriptor
    let client: ClientAddress
    var phase = Phase.waiting
    /// When its state last changed, or its client last took a part of the response.
    var since: ContinuousClock.Instant
    /// When it is closed; nil while a page prepares the response.
    var deadline: ContinuousClock.Instant?
    var isCut = false
    /// Whether the library has begun to serve it.
    var isServed = false
    /// The thread that serves it; known from its first request on.
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

    /// Whether its client has not read for a while.
    func isStalled(at now: ContinuousClock.Instant) -> Bool {
        guard !isCut, case .sending = phase else { return false }
        return now - since >= Self.stallThreshold
    }

    /// Whether its client has had time to send a request, and has not.
    func isIdle(at now: ContinuousClock.Instant) -> Bool {
        !isCut && isWaiting && now - since >= Self.idleThreshold
    }

    /// Whether its thread has read all that the client sent.
    var isSilent: Bool {
        guard descriptor.isOwn else { return true }
        var byte: UInt8 = 0
        return unsafe recv(descriptor.number, &byte, 1, SocketAddress.quietPeek) <= 0
    }

    /// Whether the client has closed its end, or its sending side, and all it sent was read.
    var hasDisconnected: Bool {
        guard descriptor.isOwn else { return true }
        var byte: UInt8 = 0
        let count = unsafe recv(descriptor.number, &byte, 1, SocketAddress.quietPeek)
        return count == 0 || count < 0 && errno != EAGAIN && errno != EINTR
    }

    /// Shuts down both directions or one; false if the descriptor is no longer ours, and then
    /// leaves it alone.
    func shut(_ how: Int32) -> Bool {
        guard descriptor.isOwn else { return false }
        shutdown(descriptor.number, how)
        return true
    }
}

/// The client's address as the limits see it.
///
/// Four bytes for IPv4, also for IPv4-mapped IPv6 addresses (RFC 4291, 2.5.5.2). The 64-bit network
/// for IPv6, because one customer of a provider holds all of its addresses. Empty for a Unix
/// socket, whose clients cannot be told apart.
package struct ClientAddress: Hashable, Sendable {
    /// The bytes that are compared.
    package let bytes: [UInt8]

    /// From an address of four or sixteen bytes, or none.
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

    /// Whether it distinguishes clients.
    var isKnown: Bool { !bytes.isEmpty }
}
