// SPDX-License-Identifier: Apache-2.0
// All open connections, and which ones are kept when the limits are reached.
//
// One thread accepts for all clients, so a newcomer never waits: it is admitted, at the cost of
// another connection if need be, or refused at once. The connections of one address cannot keep
// another address out:
//
// - Below both limits: every newcomer is admitted.
// - From the limit of its address to twice as many: every newcomer; it displaces an idle connection
//   of that address, if there is one.
// - From twice the limit of its address: a newcomer that can displace a connection of that address
//   that is silent or has waited for 0.1 s; up to three times the limit while some have waited for
//   less. Others are refused.
// - From the limit of all to twice as many: every newcomer; it displaces an idle connection of the
//   address that has the most.
// - From twice the limit of all: a newcomer that can displace a connection that is silent or has
//   waited for 0.1 s; else one whose address has fewer than four, up to four times the limit.
// - From four times the limit of all: a newcomer whose address has no connection; it displaces the
//   connection that has waited longest, or else one of the address that has the most.
//
// An address with fewer connections than the newcomer's address loses none to it.
//
// Before a newcomer is refused, connections whose clients have left are looked for.
//
// Idle: it waits and has sent no request for 0.1 s, or does not read its response. Silent: it
// waits, and its thread has read all that it sent.
//
// The alternative is a second listener for probes. It would protect probes from a crowd at the
// first listener but not at the second, and every user would have to configure it.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The open connections of one endpoint; a value that ``ConnectionTable`` keeps behind its lock.
struct OpenConnections: Sendable {
    typealias ID = Int

    /// Multiple of the limits that is admitted when no connection can be spared.
    private static let tolerance = 2
    /// Multiple of the limit of all that is admitted for addresses with hardly any connection.
    private static let reserve = 4
    /// Fewer connections than this are hardly any.
    private static let few = 4
    /// Least capacity in all, including connections that are being closed, which take a moment to
    /// leave.
    private static let leastCapacity = 256
    /// How many connections are checked for having left or being silent; each check is a system
    /// call.
    private static let checkLimit = 32

    let limits: Endpoint.Limits
    private(set) var connections: [ID: OpenConnection] = [:]
    private var counts: [ClientAddress: Int] = [:]
    private var lastID = 0
    /// Reasons of closed connections, not reported yet.
    private(set) var cuts: [CutReason] = []
    /// Descriptors that were no longer ours, not reported yet.
    private(set) var lostDescriptors = 0

    init(limits: Endpoint.Limits) { self.limits = limits }

    var isEmpty: Bool { connections.isEmpty }

    subscript(id: ID) -> OpenConnection? { connections[id] }

    // MARK: - Adding and removing

    /// Adds a connection.
    mutating func add(_ connection: OpenConnection) -> ID {
        lastID += 1
        connections[lastID] = connection
        counts[connection.client, default: 0] += 1
        return lastID
    }

    /// Removes a closed connection.
    mutating func remove(_ id: ID) {
        guard let connection = connections.removeValue(forKey: id) else { return }
        let left = counts[connection.client, default: 1] - 1
        counts[connection.client] = left > 0 ? left : nil
    }

    /// Changes a connection, if it is there.
    mutating func change(_ id: ID, _ body: (inout OpenConnection) -> Void) {
        guard var connection = connections[id] else { return }
        body(&connection)
        connections[id] = connection
    }

    /// Takes the events that have not been reported.
    mutating func takeEvents() -> (cuts: [CutReason], lostDescriptors: Int) {
        defer { (cuts, lostDescriptors) = ([], 0) }
        return (cuts, lostDescriptors)
    }

    // MARK: - Making room

    /// Makes room for a newcomer from `client`; returns whether there is room.
    mutating func makeRoom(for client: ClientAddress, at now: ContinuousClock.Instant) -> Bool {
        makeRoomAmongOwn(of: client, at: now) && makeRoomAmongAll(for: client, at: now)
    }

    /// Keeps an address within its own limit.
    private mutating func makeRoomAmongOwn(
        of client: ClientAddress, at now: ContinuousClock.Instant
    ) -> Bool {
        let most = limits.connectionsPerAddress
        let own = counts[client] ?? 0
        guard client.isKnown, own >= most else { return true }
        // A hard limit for one address, whatever the others have.
        if own >= max(3 * most, Self.leastCapacity * 3 / 4) { return false }
        let others = remaining { $0.client == client }
        if others.count < most || cutIdle(of: others, at: now) { return true }
        if others.count < Self.tolerance * most || cutAny(of: others, at: now) { return true }
        // On a busy machine the threads of new connections are late, so it is too early to judge
        // them.
        let isEarly = others.values.contains { $0.isWaiting }
        return isEarly && others.count < (Self.tolerance + 1) * most
    }

    /// Keeps all addresses together within the limit of all.
    private mutating func makeRoomAmongAll(
        for client: ClientAddress, at now: ContinuousClock.Instant
    ) -> Bool {
        let all = connections.count
        guard all >= limits.connections else { return true }
        let own = counts[client] ?? 0
        let hasCapacity = all < capacity(for: own)
        let count = connections.count { !$0.value.isCut }
        if count < limits.connections { return hasCapacity }
        let open = remaining { $0.client == client || self.has($0.client, asManyAs: own) }
        if cutIdle(of: ofLargest(open), at: now) || cutIdle(of: open, at: now) {
            return hasCapacity
        }
        if count < Self.tolerance * limits.connections { return hasCapacity }
        if cutSilent(of: ofLargest(open)) || cutAny(of: open, at: now) { return hasCapacity }
        if client.isKnown, own < Self.few, all < Self.reserve * limits.connections { return true }
        // A new address is always admitted.
        guard client.isKnown, own == 0 else { return false }
        let isOneCut =
            cutOldest(of: open.filter { $0.value.isWaiting }) || cutOldest(of: ofLargest(open))
        return isOneCut && hasCapacity
    }

    /// Whether a client has at least as many connections as the newcomer's address, and so may lose
    /// one.
    private func has(_ client: ClientAddress, asManyAs own: Int) -> Bool {
        counts[client, default: 0] >= own
    }

    /// The most connections for an address that has `own`, including those that are being closed.
    private func capacity(for own: Int) -> Int {
        let usual = max(Self.reserve * limits.connections, Self.leastCapacity)
        return own == 0 ? usual + usual / 4 : usual
    }

    /// The most connections that can ever exist within these limits.
    static func largest(within limits: Endpoint.Limits) -> Int {
        2 * max(reserve * limits.connections, leastCapacity)
    }

    /// Connections that are not being closed yet and meet a condition.
    private func remaining(_ condition: (OpenConnection) -> Bool) -> [ID: OpenConnection] {
        connections.filter { !$0.value.isCut && condition($0.value) }
    }

    /// The connections of the address that has the most.
    private func ofLargest(_ open: [ID: OpenConnection]) -> [ID: OpenConnection] {
        guard let largest = counts.max(by: { $0.value < $1.value })?.key else { return [:] }
        return open.filter { $0.value.client == largest }
    }

    // MARK: - Closing

    /// Closes the connection that has been idle or has stalled longest; false if there is none.
    private mutating func cutIdle(
        of candidates: [ID: OpenConnection], at now: ContinuousClock.Instant
    ) -> Bool {
        cutSilent(of: candidates.filter { $0.value.isIdle(at: now) })
            || cutOldest(of: candidates.filter { $0.value.isStalled(at: now) })
    }

    /// Closes one that has left or is silent, or else the one that has waited longest for a whole
    /// request.
    private mutating func cutAny(
        of candidates: [ID: OpenConnection], at now: ContinuousClock.Instant
    ) -> Bool {
        cutDisconnected(of: candidates) || cutSilent(of: candidates)
            || cutOldest(of: candidates.filter { $0.value.isIdle(at: now) })
    }

    /// Closes the oldest one whose client has closed its sending side; false if there is none.
    private mutating func cutDisconnected(of candidates: [ID: OpenConnection]) -> Bool {
        guard let victim = oldest(of: candidates, where: \.hasDisconnected) else { return false }
        cuts.append(.displaced)
        shut(victim, Int32(SHUT_RDWR))
        return true
    }

    /// Closes the one that has waited longest among those that are silent.
    private mutating func cutSilent(of candidates: [ID: OpenConnection]) -> Bool {
        let waiting = candidates.filter { $0.value.isWaiting }
        guard let victim = oldest(of: waiting, where: \.isSilent) else { return false }
        cut(victim, .displaced)
        return true
    }

    /// The oldest of the first few candidates that meets a condition, which takes a system call.
    private func oldest(
        of candidates: [ID: OpenConnection], where condition: (OpenConnection) -> Bool
    ) -> ID? {
        candidates.sorted { $0.value.since < $1.value.since }.prefix(Self.checkLimit)
            .first { condition($0.value) }?.key
    }

    /// Closes the one whose state has not changed for longest; false if there is none.
    mutating func cutOldest(of candidates: [ID: OpenConnection]) -> Bool {
        guard let victim = candidates.min(by: { $0.value.since < $1.value.since }) else {
            return false
        }
        cut(victim.key, victim.value.isWaiting ? .displaced : .stalled)
        return true
    }

    /// Closes the connection that has stalled longest while it reads a response of `page` (of any
    /// page if nil), because `client` needs its permit; false if there is none.
    mutating func cutStalled(
        on page: Int?, for client: ClientAddress, at now: ContinuousClock.Instant
    ) -> Bool {
        let own = counts[client] ?? 0
        return cutOldest(
            of: connections.filter { each in
                guard case .sending(let busy) = each.value.phase, page == nil || busy == page else {
                    return false
                }
                return each.value.isStalled(at: now) && has(each.value.client, asManyAs: own)
            })
    }

    /// Closes the connection that can best be spared.
    mutating func cutOne(at now: ContinuousClock.Instant) {
        if cutOldest(of: remaining { $0.isWaiting }) { return }
        _ = cutOldest(of: connections.filter { $0.value.isStalled(at: now) })
    }

    /// Closes a connection.
    ///
    /// A connection that waits only loses its receiving side: if its thread is reading a whole
    /// request at this moment, the response still goes out.
    mutating func cut(_ id: ID, _ reason: CutReason) {
        guard let connection = connections[id], !connection.isCut else { return }
        cuts.append(reason)
        shut(id, connection.isWaiting ? Int32(SHUT_RD) : Int32(SHUT_RDWR))
    }

    /// Shuts down a connection without reporting a reason.
    ///
    /// If its descriptor is no longer ours, the connection is forgotten and its thread, if any, is
    /// left alone.
    mutating func shut(_ id: ID, _ how: Int32) {
        guard let connection = connections[id] else { return }
        if connection.shut(how) {
            change(id) { ($0.isCut, $0.deadline) = (true, nil) }
        } else {
            lostDescriptors += 1
            remove(id)
        }
    }
}
