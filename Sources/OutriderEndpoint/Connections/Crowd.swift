// SPDX-License-Identifier: Apache-2.0
// All open connections, and who gets a place when there are more than there should be.
//
// Nobody waits for a place, since one thread accepts for all: whoever comes is let in, in the place of somebody else
// if need be, or refused at once. What one address has cannot keep another one out:
//
// | open connections | who is let in |
// |---|---|
// | below both limits | everybody |
// | the limit of its address, up to twice as many | everybody, in the place of one of that address that is idle, if there is one |
// | twice the limit of its address | who finds one of that address that is silent or has waited for 0.1 s; up to three times the limit while some have waited for less; else it is refused |
// | the limit of all, up to twice as many | everybody, in the place of an idle one of the address that has the most |
// | twice the limit of all | who finds one that is silent or has waited for 0.1 s; else an address that has hardly any, up to four times the limit |
// | four times the limit of all | an address that has none, in the place of the one that has waited longest, or else of one of the address that has the most |
//
// An address that has fewer connections than the newcomer's loses none to it.
//
// Before anybody is refused, it is seen who has left without our having noticed.
//
// Idle: it waits and has not asked for anything for 0.1 s, or reads nothing of its answer. Silent: it waits, and
// nothing has come that its thread has not read.
//
// The other design is a second listener for probes. It would protect them from a crowd at the first one, and from
// none that comes to itself, and everybody would have to configure it.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The open connections of one endpoint; a value, which ``ConnectionTable`` keeps behind its lock.
struct Crowd: Sendable {
    typealias ID = Int

    /// How many times the limits there may be as long as nobody can be spared.
    private static let tolerance = 2
    /// How many times the limit of all there may be for addresses that have hardly any connection.
    private static let reserve = 4
    /// What hardly any is.
    private static let few = 4
    /// So many may be there in all, with those on their way out: who is cut takes a moment to leave.
    private static let leastCapacity = 256
    /// How many are looked at to find one that has left or is silent: each look is a system call.
    private static let looks = 32

    let limits: Endpoint.Limits
    private(set) var connections: [ID: OpenConnection] = [:]
    private var counts: [ClientAddress: Int] = [:]
    private var lastID = 0
    /// Why connections were ended, not told yet.
    private(set) var cuts: [CutReason] = []
    /// Descriptors that were not ours any more, not told yet.
    private(set) var lostDescriptors = 0

    init(limits: Endpoint.Limits) { self.limits = limits }

    var isEmpty: Bool { connections.isEmpty }

    subscript(id: ID) -> OpenConnection? { connections[id] }

    // MARK: - Coming and going

    /// Adds a connection.
    mutating func add(_ connection: OpenConnection) -> ID {
        lastID += 1
        connections[lastID] = connection
        counts[connection.client, default: 0] += 1
        return lastID
    }

    /// Removes one that is closed.
    mutating func remove(_ id: ID) {
        guard let connection = connections.removeValue(forKey: id) else { return }
        let left = counts[connection.client, default: 1] - 1
        counts[connection.client] = left > 0 ? left : nil
    }

    /// Changes one, if it is there.
    mutating func change(_ id: ID, _ body: (inout OpenConnection) -> Void) {
        guard var connection = connections[id] else { return }
        body(&connection)
        connections[id] = connection
    }

    /// Takes what is to be told.
    mutating func takeNews() -> (cuts: [CutReason], lostDescriptors: Int) {
        defer { (cuts, lostDescriptors) = ([], 0) }
        return (cuts, lostDescriptors)
    }

    // MARK: - Room

    /// Makes room for somebody who comes from `client`; returns whether there is.
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
        // Whatever else is the case, one address does not get more than this.
        if own >= max(3 * most, Self.leastCapacity * 3 / 4) { return false }
        let others = remaining { $0.client == client }
        if others.count < most || cutIdle(of: others, at: now) { return true }
        if others.count < Self.tolerance * most || cutAny(of: others, at: now) { return true }
        // On a busy machine the threads of those who have just come are late, and nobody can be judged yet.
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
        // A new address gets in, whatever the others do.
        guard client.isKnown, own == 0 else { return false }
        let isOneCut =
            cutOldest(of: open.filter { $0.value.isWaiting }) || cutOldest(of: ofLargest(open))
        return isOneCut && hasCapacity
    }

    /// Whether an address has so many connections: it may lose one to somebody who has no more than that.
    private func has(_ client: ClientAddress, asManyAs own: Int) -> Bool {
        counts[client, default: 0] >= own
    }

    /// How many there may be, those included that are on their way out.
    private func capacity(for own: Int) -> Int {
        let usual = max(Self.reserve * limits.connections, Self.leastCapacity)
        return own == 0 ? usual + usual / 4 : usual
    }

    /// The most connections that there can ever be within these limits.
    static func largest(within limits: Endpoint.Limits) -> Int {
        2 * max(reserve * limits.connections, leastCapacity)
    }

    /// Those that are not ended yet.
    private func remaining(_ condition: (OpenConnection) -> Bool) -> [ID: OpenConnection] {
        connections.filter { !$0.value.isCut && condition($0.value) }
    }

    /// Those of the address that has the most.
    private func ofLargest(_ open: [ID: OpenConnection]) -> [ID: OpenConnection] {
        guard let largest = counts.max(by: { $0.value < $1.value })?.key else { return [:] }
        return open.filter { $0.value.client == largest }
    }

    // MARK: - Cutting

    /// Ends the one that has waited longest for nothing, or stalled longest; tells whether there was one.
    private mutating func cutIdle(
        of candidates: [ID: OpenConnection], at now: ContinuousClock.Instant
    ) -> Bool {
        cutSilent(of: candidates.filter { $0.value.isIdle(at: now) })
            || cutOldest(of: candidates.filter { $0.value.isStalled(at: now) })
    }

    /// Ends one that has left or is silent, or else the one that has waited longest without a whole request.
    private mutating func cutAny(
        of candidates: [ID: OpenConnection], at now: ContinuousClock.Instant
    ) -> Bool {
        cutLeft(of: candidates) || cutSilent(of: candidates)
            || cutOldest(of: candidates.filter { $0.value.isIdle(at: now) })
    }

    /// Ends the oldest of those whose clients have left, or at least say no more; tells whether there was one.
    private mutating func cutLeft(of candidates: [ID: OpenConnection]) -> Bool {
        guard let victim = oldest(of: candidates, where: \.hasLeft) else { return false }
        cuts.append(.crowded)
        shut(victim, Int32(SHUT_RDWR))
        return true
    }

    /// Ends the one that has waited longest of those that have sent nothing.
    private mutating func cutSilent(of candidates: [ID: OpenConnection]) -> Bool {
        let waiting = candidates.filter { $0.value.isWaiting }
        guard let victim = oldest(of: waiting, where: \.isSilent) else { return false }
        cut(victim, .crowded)
        return true
    }

    /// The one that has not moved for longest, of the first few for which a system call tells that the condition holds.
    private func oldest(
        of candidates: [ID: OpenConnection], where condition: (OpenConnection) -> Bool
    ) -> ID? {
        candidates.sorted { $0.value.since < $1.value.since }.prefix(Self.looks)
            .first { condition($0.value) }?.key
    }

    /// Ends the one that has not moved for longest; tells whether there was one.
    mutating func cutOldest(of candidates: [ID: OpenConnection]) -> Bool {
        guard let victim = candidates.min(by: { $0.value.since < $1.value.since }) else {
            return false
        }
        cut(victim.key, victim.value.isWaiting ? .crowded : .stalled)
        return true
    }

    /// Ends the one that has stalled longest in an answer of a page, or of any, for a client that waits for its place;
    /// tells whether there was one.
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

    /// Ends the one that can best be spared.
    mutating func cutOne(at now: ContinuousClock.Instant) {
        if cutOldest(of: remaining { $0.isWaiting }) { return }
        _ = cutOldest(of: connections.filter { $0.value.isStalled(at: now) })
    }

    /// Ends a connection.
    ///
    /// Of a client that waits, only what it may yet send is cut off: should its thread have a whole request in hand
    /// at this moment, the answer still goes out.
    mutating func cut(_ id: ID, _ reason: CutReason) {
        guard let connection = connections[id], !connection.isCut else { return }
        cuts.append(reason)
        shut(id, connection.isWaiting ? Int32(SHUT_RD) : Int32(SHUT_RDWR))
    }

    /// Shuts a connection, of which nobody is told.
    ///
    /// One whose descriptor is not ours any more is forgotten, and its thread, should there be one, is left alone.
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
