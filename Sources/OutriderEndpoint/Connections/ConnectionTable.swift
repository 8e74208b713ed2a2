// SPDX-License-Identifier: Apache-2.0
// Every open connection, what it is doing, and until when it may.
//
//     accepted ─▶ waiting ──request complete──▶ answering ──first bytes──▶ sending ──done──▶ waiting
//                 10 s (then 30 + 10 s)          the page's time            300 s, and not
//                                                                           stalled when its place
//                                                                           is needed
//
// The library ends connections on which nothing moves. It does not end one on which a byte moves now
// and then, and it turns newcomers away when all places are taken. So this table ends connections
// too: those past their time, and when room is short, the one that has waited longest without
// asking for anything, first of the address that has the most. A scraper comes, asks and goes, so
// it always finds a place, however many others hold theirs.
//
// A connection is ended by shutdown(2), under the lock that its removal takes: so its descriptor is
// still its own. Its thread then wakes and cleans up.

package import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The connections of one endpoint; thread-safe.
package final class ConnectionTable: Sendable {
    /// Names a connection; never used again for another one.
    package typealias ID = Int

    /// A client that has read nothing for this long may lose its place to one that would.
    static let stallTime: Duration = .milliseconds(100)
    /// A client that has not asked for anything for this long has had the time to do so.
    private static let timeToAsk: Duration = .milliseconds(100)
    /// How many times the limits there may be for as long as nobody can be spared.
    private static let tolerance = 2
    /// How long nobody is accepted after one of a flood, before another look.
    private static let restMicroseconds: UInt32 = 500

    private enum Phase: Sendable {
        case waiting
        case answering
        case sending(page: Int?)
    }

    private struct Entry: Sendable {
        let descriptor: Int32
        /// The client's IP address; empty for a Unix socket.
        let address: [UInt8]
        var phase = Phase.waiting
        /// When it last moved on.
        var since: ContinuousClock.Instant
        /// When it is ended; nil while a page answers.
        var deadline: ContinuousClock.Instant?
        var isCut = false
        /// The thread that serves it, known from its first request on.
        var thread: UInt?

        var isWaiting: Bool { if case .waiting = phase { true } else { false } }

        /// Whether its client has read nothing for a while.
        func isStalled(at now: ContinuousClock.Instant) -> Bool {
            guard !isCut, case .sending = phase else { return false }
            return now - since >= ConnectionTable.stallTime
        }
    }

    private struct State: Sendable {
        var entries: [ID: Entry] = [:]
        var lastID = 0
        /// When the table will look for those past their time.
        var nextLook: ContinuousClock.Instant?
        /// Why connections were ended, not told yet.
        var cuts: [CutReason] = []
        /// Set once every connection is to end: opened when the last of them is closed.
        var lastClosed: Latch?
    }

    private let limits: Endpoint.Limits
    private let onCut: @Sendable (CutReason) -> Void
    private let time: any TimeSource
    private let state = Guarded(State())
    /// When somebody is past their time.
    private let alarm: Alarm

    package init(
        limits: Endpoint.Limits, time: any TimeSource = SystemTime(),
        onCut: @escaping @Sendable (CutReason) -> Void
    ) {
        self.limits = limits
        self.time = time
        self.onCut = onCut
        alarm = Alarm(named: "outrider-time", time: time)
    }

    /// Runs `body` with the state, then tells which connections it ended, without the lock.
    private func cutting<Result>(_ body: (inout State) -> Result) -> Result {
        let (result, cuts) = state.withLock { state in
            defer { state.cuts = [] }
            let result = body(&state)
            return (result, state.cuts)
        }
        for reason in cuts { onCut(reason) }
        return result
    }

    // MARK: - A connection's way

    /// A connection was accepted; makes room for it if there are too many.
    ///
    /// This is the thread that accepts, and nothing else. In a flood it takes its time: so that each
    /// client has a moment to ask before it is the oldest, and those that were cut have a moment to
    /// leave before the library turns newcomers away.
    package func open(_ descriptor: Int32, from address: [UInt8]) -> ID {
        let start = time.now
        let id = state.withLock { state in
            state.lastID += 1
            let entry = Entry(
                descriptor: descriptor, address: address, since: start,
                deadline: start + limits.headerTimeout)
            if state.lastClosed != nil {
                // The latch of before may be open already.
                if state.entries.isEmpty { state.lastClosed = Latch() }
                shutdown(descriptor, Int32(SHUT_RDWR))
            }
            state.entries[state.lastID] = entry
            look(at: entry.deadline, &state)
            return state.lastID
        }
        var outcome = Room.tight
        while outcome != .enough {
            outcome = cutting { makeRoom(for: id, address, since: start, in: &$0) }
            if outcome == .tight { usleep(Self.restMicroseconds) }
        }
        let count = state.withLock { $0.entries.count }
        if count > limits.connections * Self.tolerance { usleep(Self.restMicroseconds) }
        return id
    }

    /// A connection is about to be closed.
    package func close(_ id: ID) {
        state.withLock { state in
            state.entries[id] = nil
            if state.entries.isEmpty { state.lastClosed?.open() }
        }
    }

    /// The first line of a request has come, on the thread that serves its connection.
    func noteTarget(_ id: ID) {
        state.withLock { $0.entries[id]?.thread = Self.currentThread }
    }

    /// Sends a last answer over the connection that this thread serves, and nothing after it.
    ///
    /// What does not fit into the socket's buffer is lost.
    func endCurrent(with answer: [UInt8]) {
        state.withLock { state in
            let own = state.entries.first {
                !$0.value.isCut && $0.value.thread == Self.currentThread
            }
            guard let (id, entry) = own else { return }
            unsafe answer.withUnsafeBytes { bytes in
                // SAFETY: the bytes are borrowed for one call that does not block.
                _ = unsafe send(
                    entry.descriptor, bytes.baseAddress, bytes.count, SocketAddress.quietSend)
            }
            shutdown(entry.descriptor, Int32(SHUT_WR))
            state.entries[id]?.isCut = true
            state.entries[id]?.deadline = nil
        }
    }

    private static var currentThread: UInt {
        #if canImport(Glibc)
            UInt(pthread_self())
        #else
            UInt(bitPattern: pthread_self())
        #endif
    }

    /// A whole request has come.
    package func noteRequest(_ id: ID) {
        change(id) { entry, _ in
            entry.phase = .answering
            entry.deadline = nil
            // It was in hand when its connection was cut, and is answered still.
            entry.isCut = false
        }
    }

    /// An answer is ready to be sent.
    package func noteAnswer(_ id: ID, by page: Int?) {
        change(id) { entry, now in
            entry.phase = .sending(page: page)
            entry.deadline = now + limits.answerTimeout
        }
    }

    /// The client takes more of an answer.
    func noteProgress(_ id: ID) {
        let now = time.now
        state.withLock { $0.entries[id]?.since = now }
    }

    /// An answer is sent; the next request may come.
    package func noteCompletion(_ id: ID) {
        change(id) { entry, now in
            entry.phase = .waiting
            entry.deadline = entry.isCut ? nil : now + limits.idleTimeout + limits.headerTimeout
        }
    }

    private func change(_ id: ID, _ body: (inout Entry, ContinuousClock.Instant) -> Void) {
        let now = time.now
        state.withLock { state in
            guard var entry = state.entries[id] else { return }
            entry.since = now
            body(&entry, now)
            state.entries[id] = entry
            look(at: entry.deadline, &state)
        }
    }

    // MARK: - Room

    /// Ends the connection that has stalled longest in an answer of a page; tells whether there was
    /// one.
    func cutStalled(on page: Int) -> Bool {
        cutting { state in
            let now = time.now
            return cutOldest(of: state.entries, in: &state) { entry in
                guard case .sending(page) = entry.phase else { return false }
                return entry.isStalled(at: now)
            }
        }
    }

    /// Ends the connection that has waited longest for nothing; if there is none, the one that has
    /// stalled longest.
    func cutOne() {
        cutting { state in
            let now = time.now
            let waiting = state.entries.filter { !$0.value.isCut && $0.value.isWaiting }
            if cutOldest(of: waiting, in: &state) { return }
            _ = cutOldest(of: state.entries.filter { $0.value.isStalled(at: now) }, in: &state)
        }
    }

    private enum Room {
        /// A newcomer may go on.
        case enough
        /// One was ended; perhaps there are more to end.
        case made
        /// Nobody can be spared yet.
        case tight
    }

    /// Ends a connection if there are too many.
    ///
    /// Who has had no time to ask, or is being answered, is spared for as long as others may come in
    /// beside it, and then for as long as a stalled client takes to be known as one.
    private func makeRoom(
        for id: ID, _ address: [UInt8], since start: ContinuousClock.Instant,
        in state: inout State
    ) -> Room {
        let now = time.now
        let open = state.entries.filter { !$0.value.isCut }
        let counts = Dictionary(grouping: open.values, by: \.address).mapValues(\.count)
        // Clients of a Unix socket have no addresses to tell them apart.
        let ownCount = address.isEmpty ? 0 : counts[address] ?? 0
        func exceedsLimits(times factor: Int) -> Bool {
            open.count > limits.connections * factor
                || ownCount > limits.connectionsPerAddress * factor
        }
        guard exceedsLimits(times: 1) else { return .enough }
        let others = open.filter { $0.key != id }
        // Those of the address that has too many, or else of the one that has the most.
        let most = counts.values.max() ?? 0
        let first = others.filter {
            ownCount > limits.connectionsPerAddress
                ? $0.value.address == address : counts[$0.value.address] == most
        }
        func cutIdle(of candidates: [ID: Entry]) -> Bool {
            let patient = candidates.filter {
                $0.value.isWaiting && now - $0.value.since >= Self.timeToAsk
            }
            let stalled = candidates.filter { $0.value.isStalled(at: now) }
            return cutOldest(of: patient, in: &state, where: Self.isSilent)
                || cutOldest(of: stalled, in: &state)
        }
        if cutIdle(of: first) { return .made }
        guard exceedsLimits(times: Self.tolerance) else { return .enough }
        guard now - start >= Self.stallTime else { return .tight }
        for candidates in open.count > limits.connections ? [first, others] : [first] {
            let waiting = candidates.filter { $0.value.isWaiting }
            if cutIdle(of: candidates)
                || cutOldest(of: waiting, in: &state, where: Self.isSilent)
                || cutOldest(of: waiting, in: &state)
            {
                return .enough
            }
        }
        // Everybody is being answered. One address does not get to fill the house with that.
        if ownCount > limits.connectionsPerAddress * Self.tolerance {
            cut(id, .crowded, in: &state)
        }
        return .enough
    }

    /// Whether a client has sent nothing that its thread has not read yet.
    private static func isSilent(_ entry: Entry) -> Bool {
        var byte: UInt8 = 0
        let flags = SocketAddress.quietPeek
        return unsafe recv(entry.descriptor, &byte, 1, flags) <= 0
    }

    private func cutOldest(
        of entries: [ID: Entry], in state: inout State,
        where condition: (Entry) -> Bool = { _ in true }
    ) -> Bool {
        let oldestFirst = entries.sorted { $0.value.since < $1.value.since }
        guard let victim = oldestFirst.first(where: { condition($0.value) }) else { return false }
        cut(victim.key, victim.value.isWaiting ? .crowded : .stalled, in: &state)
        return true
    }

    private func cut(_ id: ID, _ reason: CutReason, in state: inout State) {
        guard let entry = state.entries[id], !entry.isCut else { return }
        state.cuts.append(reason)
        state.entries[id]?.isCut = true
        state.entries[id]?.deadline = nil
        // Of a client that waits, only what it may yet send is cut off: should its thread have a whole
        // request in hand at this moment, the answer still goes out.
        shutdown(entry.descriptor, Int32(entry.isWaiting ? SHUT_RD : SHUT_RDWR))
    }

    // MARK: - Going

    /// Ends every connection, those to come too; returns once all are closed, so after every page.
    func endAll() {
        state.withLock { state in
            state.lastClosed = Latch()
            for entry in state.entries.values { shutdown(entry.descriptor, Int32(SHUT_RDWR)) }
        }
        while let lastClosed = state.withLock({ $0.entries.isEmpty ? nil : $0.lastClosed }) {
            _ = lastClosed.wait(for: .seconds(60))
        }
    }

    /// Cancels the timer of the deadlines.
    func stopLooking() { alarm.turnOff() }

    /// Ends the connections of those who have nothing asked, so that they ask somebody else; tells
    /// whether some of them are still there.
    ///
    /// Who has just come has a moment to ask, and whose request has come is answered.
    func sendIdleAway() -> Bool {
        let now = time.now
        return state.withLock { state in
            for (id, entry) in state.entries where entry.isWaiting && !entry.isCut {
                let isNew = entry.thread == nil && now - entry.since < Self.timeToAsk
                if isNew || !Self.isSilent(entry) { continue }
                state.entries[id]?.isCut = true
                state.entries[id]?.deadline = nil
                shutdown(entry.descriptor, Int32(SHUT_RD))
            }
            return state.entries.values.contains(where: \.isWaiting)
        }
    }

    // MARK: - Time

    /// Sees to it that somebody looks at `moment`; nobody does while there is nothing to look at.
    private func look(at moment: ContinuousClock.Instant?, _ state: inout State) {
        guard let moment else { return }
        // One that is long past will not be: there was no thread for it.
        if let planned = state.nextLook, planned <= moment, planned > time.now - .seconds(1) {
            return
        }
        state.nextLook = moment
        alarm.set(for: moment) { [weak self] in self?.cutExpired(planned: moment) }
    }

    private func cutExpired(planned: ContinuousClock.Instant) {
        let now = time.now
        cutting { state in
            // Somebody else looks earlier, and then again.
            guard state.nextLook == planned else { return }
            state.nextLook = nil
            for (id, entry) in state.entries {
                guard let deadline = entry.deadline, deadline <= now else { continue }
                cut(id, entry.isWaiting ? .tooSlowToAsk : .tooSlowToRead, in: &state)
            }
            look(at: state.entries.values.compactMap(\.deadline).min(), &state)
        }
    }
}
