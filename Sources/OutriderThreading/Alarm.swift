// SPDX-License-Identifier: Apache-2.0
// Something to do at a moment, without a pool of the host's.
//
// Not Dispatch: its timers run on workers that all of the host's may have taken, and where there is no
// /proc to count its workers in, libdispatch ends the process as soon as they have work.

/// One moment at a time, kept by a thread of its own that is there only while a moment is set.
public final class Alarm: Sendable {
    private struct State: Sendable {
        var moment: ContinuousClock.Instant?
        var ring: (@Sendable () -> Void)?
        var isKept = false
        /// Opened when something else is set than what is waited for.
        var change = Latch()
    }

    private let name: StaticString
    private let time: any TimeSource
    private let state = Guarded(State())

    /// An alarm that is off; `name` is how the kernel will know its thread, 15 bytes at most.
    package init(named name: StaticString, time: any TimeSource = SystemTime()) {
        self.name = name
        self.time = time
    }

    /// Has `ring` called at this moment, or soon afterwards, instead of what was set before.
    ///
    /// Without a thread to be had nothing is called before another moment is set.
    public func set(for moment: ContinuousClock.Instant, _ ring: @escaping @Sendable () -> Void) {
        let isKept = state.withLock { state in
            (state.moment, state.ring) = (moment, ring)
            state.change.open()
            defer { state.isKept = true }
            return state.isKept
        }
        if !isKept, !DetachedThread.start(named: name, { self.keep() }) {
            state.withLock { $0.isKept = false }
        }
    }

    /// Turns it off; its thread ends.
    public func turnOff() {
        state.withLock { state in
            (state.moment, state.ring) = (nil, nil)
            state.change.open()
        }
    }

    /// What its thread does next.
    private enum Step {
        case end
        case call(@Sendable () -> Void)
        case wait(Latch, until: ContinuousClock.Instant)
    }

    private func keep() {
        while true {
            switch state.withLock({ next(&$0) }) {
            case .end: return
            case .call(let ring): ring()
            case .wait(let change, let moment): _ = time.wait(for: change, until: moment)
            }
        }
    }

    private func next(_ state: inout State) -> Step {
        guard let moment = state.moment, let ring = state.ring else {
            state.isKept = false
            return .end
        }
        if moment <= time.now {
            (state.moment, state.ring) = (nil, nil)
            return .call(ring)
        }
        state.change = Latch()
        return .wait(state.change, until: moment)
    }
}
