// SPDX-License-Identifier: Apache-2.0
// Limits how long a reading may block the service's threads, and switches off sources that take too
// long.
//
// While they run a call, the kernel and glibc hold locks that the service's threads need: those of
// malloc's arenas, of the process's mappings, of its threads and signals. Such a lock is never held
// longer than the call runs, so the CPU time of the calling thread within one call bounds the time
// that others waited. Wall time would be too much: on a busy machine it includes time in which the
// thread waited for a processor, before and after holding the lock.

package import OutriderMetrics
internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Measures the pauses of one reading, and switches off each source that caused too long a pause.
///
/// Thread-safe; two system calls per measured call, some 0.2 µs.
package final class ReadingPauses: Sendable {
    private struct State: Sendable {
        var longest: Duration = .zero
        var switchedOff: Set<String> = []
    }

    /// A source that caused a longer pause is not read again while the process lives.
    package static let limit: Duration = .milliseconds(5)

    /// The value of the label `reading`.
    let reading: String
    private let log: DiagnosticLog
    private let clock: @Sendable () -> Duration
    private let state = Guarded(State())

    /// Creates the pauses of a reading, with nothing measured yet.
    ///
    /// - Parameters:
    ///   - reading: The value of the label `reading`.
    ///   - log: The log for sources that are switched off.
    ///   - clock: The CPU time of the calling thread; tests may pass their own.
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

    /// Calls `body`, which reads a piece of a source, and evaluates the pause that it caused.
    ///
    /// - Parameters:
    ///   - source: The name under which it is switched off, counted and logged: `self/stat`,
    ///     `mallinfo2`.
    ///   - body: One call, or a few short ones, during which a lock needed by the service may be
    ///     held.
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
        log.reportOnce(
            .warning,
            "reading \(source) took \(milliseconds) ms and may have blocked other threads that long; "
                + "above \(Self.limit / .milliseconds(1)) ms it is switched off, and its metrics are absent"
        )
    }
}

/// The CPU time of the calling thread, in user and kernel mode; zero if the system does not report
/// it.
package func threadTime() -> Duration {
    var time = timespec()
    guard unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0 else { return .zero }
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}
