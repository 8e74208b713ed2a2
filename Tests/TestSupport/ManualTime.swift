// SPDX-License-Identifier: Apache-2.0
// Virtual time for code with deadlines.

package import Glibc
package import OutriderThreading

/// A time source that a test advances; thread-safe.
///
/// A deadline of hours passes as soon as the test advances the time, and never otherwise, however
/// slow the machine is:
///
/// ```swift
/// #expect(time.awaitWaiter(in: .seconds(10)))    // the code under test waits for that deadline
/// time.advance(by: .seconds(10))                 // which is now reached
/// ```
package final class ManualTime: TimeSource {
    /// A thread of the code under test that waits for a deadline.
    private struct Waiter: Sendable {
        let moment: ContinuousClock.Instant
        let wake: @Sendable () -> Void
    }

    /// A test that waits until a number of threads wait for a deadline.
    private struct Observer: Sendable {
        let moment: ContinuousClock.Instant
        let count: Int
        let met = Latch()
    }

    private struct State: Sendable {
        var now = ContinuousClock.now
        var lastID = 0
        var waiters: [Int: Waiter] = [:]
        var observers: [Observer] = []

        func waiters(for moment: ContinuousClock.Instant) -> Int {
            waiters.values.count { $0.moment == moment }
        }
    }

    private let state = Guarded(State())

    /// Creates a time that stays at the current instant.
    package init() {}

    package var now: ContinuousClock.Instant { state.withLock { $0.now } }

    // MARK: - For tests

    /// Advances the time and wakes all threads whose deadline has passed.
    ///
    /// They run concurrently, so their work may follow the return of this call.
    package func advance(by duration: Duration) {
        let due = state.withLock { state in
            state.now += duration
            let due = state.waiters.filter { $0.value.moment <= state.now }
            for id in due.keys { state.waiters[id] = nil }
            return due.values
        }
        for waiter in due { waiter.wake() }
    }

    /// Waits until the code under test waits for the deadline `duration` from now, in at least
    /// `count` threads; returns whether it does.
    ///
    /// Gives up after a minute of real time.
    package func awaitWaiter(in duration: Duration, count: Int = 1) -> Bool {
        let met = state.withLock { state in
            let observer = Observer(moment: state.now + duration, count: count)
            if state.waiters(for: observer.moment) >= count {
                observer.met.open()
            } else {
                state.observers.append(observer)
            }
            return observer.met
        }
        return met.wait(for: .seconds(60))
    }

    // MARK: - For the code under test

    package func wait(for latch: Latch, until moment: ContinuousClock.Instant) -> Bool {
        if latch.isOpen { return true }
        let either = Latch()
        latch.openLater(either)
        if let id = begin(until: moment, { either.open() }) {
            while !either.wait(for: .seconds(86_400)) {}
            end(id)
        }
        return latch.isOpen
    }

    package func poll(
        _ descriptors: inout [pollfd], until moment: ContinuousClock.Instant
    ) -> Int32 {
        let bell = Bell()
        guard let bell, let id = begin(until: moment, { bell.ring() }) else {
            return callPoll(&descriptors, 0)
        }
        defer { end(id) }
        descriptors.append(pollfd(fd: bell.readEnd, events: Int16(POLLIN), revents: 0))
        defer { descriptors.removeLast() }
        let found = callPoll(&descriptors, -1)
        let hasRung = descriptors.last?.revents != 0
        return hasRung ? found - 1 : found
    }

    /// Registers a waiting thread; returns nil if the deadline has passed.
    private func begin(
        until moment: ContinuousClock.Instant, _ wake: @escaping @Sendable () -> Void
    ) -> Int? {
        state.withLock { state in
            if moment <= state.now { return nil }
            state.lastID += 1
            state.waiters[state.lastID] = Waiter(moment: moment, wake: wake)
            let count = state.waiters(for: moment)
            state.observers.removeAll { observer in
                let isMet = observer.moment == moment && observer.count <= count
                if isMet { observer.met.open() }
                return isMet
            }
            return state.lastID
        }
    }

    private func end(_ id: Int) {
        state.withLock { state in state.waiters[id] = nil }
    }
}

/// A pair of sockets that wakes a poll(2).
private final class Bell: Sendable {
    let readEnd: Int32
    private let writeEnd: Int32

    /// Returns nil if no descriptors are left.
    init?() {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else { return nil }
        (readEnd, writeEnd) = (ends[0], ends[1])
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    func ring() {
        var byte: UInt8 = 1
        _ = unsafe write(writeEnd, &byte, 1)
    }
}
