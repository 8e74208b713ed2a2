// SPDX-License-Identifier: Apache-2.0
// A one-shot timer on a separate thread, independent of the host's thread pools.
//
// Dispatch is not used: its timers run on workers, all of which the host may occupy. And without
// /proc, where libdispatch counts its workers, it ends the process as soon as they have work.

/// A timer for one moment at a time; its thread exists only while a moment is set.
public final class OneShotTimer: Sendable {
    private struct State: Sendable {
        var moment: ContinuousClock.Instant?
        var action: (@Sendable () -> Void)?
        var hasThread = false
        /// Opened when the timer is set again or cancelled.
        var change = Latch()
    }

    private let name: StaticString
    private let time: any TimeSource
    private let state = Guarded(State())

    /// Creates a timer that is not set; `name` is the kernel's name for its thread, at most 15
    /// bytes.
    package init(named name: StaticString, time: any TimeSource = SystemTime()) {
        self.name = name
        self.time = time
    }

    /// Calls `action` at this moment, or soon afterwards, and replaces an earlier setting.
    ///
    /// If no thread can be started, nothing is called until another moment is set.
    public func set(for moment: ContinuousClock.Instant, _ action: @escaping @Sendable () -> Void) {
        let hasThread = state.withLock { state in
            (state.moment, state.action) = (moment, action)
            state.change.open()
            defer { state.hasThread = true }
            return state.hasThread
        }
        if !hasThread, !DetachedThread.start(named: name, { self.run() }) {
            state.withLock { $0.hasThread = false }
        }
    }

    /// Cancels the timer; its thread ends.
    public func cancel() {
        state.withLock { state in
            (state.moment, state.action) = (nil, nil)
            state.change.open()
        }
    }

    /// The next step of its thread.
    private enum Step {
        case end
        case call(@Sendable () -> Void)
        case wait(Latch, until: ContinuousClock.Instant)
    }

    private func run() {
        while true {
            switch state.withLock({ next(&$0) }) {
            case .end: return
            case .call(let action): action()
            case .wait(let change, let moment): _ = time.wait(for: change, until: moment)
            }
        }
    }

    private func next(_ state: inout State) -> Step {
        guard let moment = state.moment, let action = state.action else {
            state.hasThread = false
            return .end
        }
        if moment <= time.now {
            (state.moment, state.action) = (nil, nil)
            return .call(action)
        }
        state.change = Latch()
        return .wait(state.change, until: moment)
    }
}
