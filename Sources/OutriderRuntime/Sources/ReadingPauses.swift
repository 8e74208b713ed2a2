// SPDX-License-Identifier: Apache-2.0
// How long a reading may keep the host's threads waiting, and the end of a source that takes too long.
//
// The kernel and glibc hold locks that the host's threads need while they answer: those of malloc's
// arenas, of the process' mappings, of its threads and signals. A call holds such a lock no longer than
// it runs, so the CPU time of the calling thread inside of one call is the most that others waited for
// it. The time of a wall clock would be more: on a busy machine it counts the time in which the thread
// waited for a processor, before and after the lock.

package import OutriderMetrics
internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Measures the pauses of one reading, and switches off each of its sources that made too long a one.
///
/// Thread-safe; two system calls for each measured call, some 0.2 µs.
package final class ReadingPauses: Sendable {
    private struct State: Sendable {
        var longest: Duration = .zero
        var switchedOff: Set<String> = []
    }

    /// A source that caused a longer pause is not read again for as long as the process lives.
    package static let limit: Duration = .milliseconds(5)

    /// The value of the label `reading`.
    let reading: String
    private let log: DiagnosticLog
    private let clock: @Sendable () -> Duration
    private let state = Guarded(State())

    /// Nothing was measured yet.
    ///
    /// - Parameters:
    ///   - reading: The value of the label `reading`.
    ///   - log: Where it is said that a source was switched off.
    ///   - clock: The CPU time of the calling thread; a test may give its own.
    package init(
        of reading: String, log: DiagnosticLog = .shared,
        clock: @escaping @Sendable () -> Duration = { threadTime() }
    ) {
        self.reading = reading
        self.log = log
        self.clock = clock
    }

    /// The longest pause so far; zero before the first measured call.
    package var longest: Duration { state.withLock { $0.longest } }

    /// Whether a source may be read: it never caused a pause above the limit.
    package func mayRead(_ source: String) -> Bool {
        state.withLock { !$0.switchedOff.contains(source) }
    }

    /// Calls `body`, which reads a piece of a source, and judges the pause that it caused.
    ///
    /// - Parameters:
    ///   - source: The name by which it is switched off, counted and logged: `self/stat`, `mallinfo2`.
    ///   - body: One call, or a few short ones, during which a lock of the host's may be held.
    package func measure<Value>(_ source: String, _ body: () -> Value) -> Value {
        let start = clock()
        let value = body()
        note(clock() - start, of: source)
        return value
    }

    private func note(_ pause: Duration, of source: String) {
        let isTooLong = pause > Self.limit
        let isNew = state.withLock { state in
            state.longest = max(state.longest, pause)
            return isTooLong && state.switchedOff.insert(source).inserted
        }
        guard isNew else { return }
        let milliseconds = (pause / .milliseconds(1) * 10).rounded() / 10
        log.sayOnce(
            .warning,
            "reading \(source) took \(milliseconds) ms, in which other threads may have waited for a lock; "
                + "above \(Self.limit / .milliseconds(1)) ms it is switched off, and its metrics are absent"
        )
    }
}

/// The CPU time of the calling thread, in user and kernel mode; zero where the system does not say.
package func threadTime() -> Duration {
    var time = timespec()
    guard unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0 else { return .zero }
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}
