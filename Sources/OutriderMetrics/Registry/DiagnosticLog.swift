// SPDX-License-Identifier: Apache-2.0
// What Outrider has to say for itself, in words: to stderr, or wherever the service wants it.
//
// A guest does not flood its host's log. A message about one subject comes once, or a few times
// a minute; what is left out is counted and told with the next one.

internal import COutriderOutput
internal import OutriderThreading
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The log of the library: one closure that the service can replace.
///
/// Thread-safe. Nothing that records a measurement logs, unless it refuses one. A line for stderr is written at once
/// or dropped and counted (`outrider_log_lines_dropped_total`): where a pipe is full or nobody reads it, the service
/// neither waits nor gets a signal.
///
/// ```swift
/// DiagnosticLog.shared.setHandler { level, message in logger.log(level: …, "\(message)") }
/// ```
public final class DiagnosticLog: Sendable {
    /// How much a message matters.
    public enum Level: String, Sendable {
        /// Good to know, nothing to do.
        case info
        /// Something was refused or left out; the message tells what to do.
        case warning
        /// Something that the service asked for does not work; the message tells what to do.
        case error
    }

    /// Receives each message: one line, without a line feed or other control characters.
    ///
    /// Called on the thread that had something to say; should not block.
    public typealias Handler = @Sendable (Level, String) -> Void

    /// The log that everything uses unless told otherwise.
    public static let shared = DiagnosticLog()

    /// Messages about one subject that pass in a minute.
    static let messagesPerMinute = 6
    /// Subjects that are told apart; past that they share one allowance.
    static let subjectLimit = 1_000
    /// Characters of a subject and of a message; what is longer is told apart by its beginning.
    private static let longestSubject = 200
    private static let longestMessage = 2_000

    private struct State: Sendable {
        /// Nil for stderr.
        var handler: Handler?
        var told: Set<String> = []
        var allowances: [String: Allowance] = [:]
    }

    private struct Allowance: Sendable {
        var since: ContinuousClock.Instant
        var used = 0
        var leftOut = 0
    }

    private let state: Guarded<State>
    private let dropped = Atomic<Int>(0)
    private let now: @Sendable () -> ContinuousClock.Instant

    /// A log of its own, for a test or a second agent; `nil` writes to stderr.
    public convenience init(handler: Handler? = nil) {
        self.init(handler: handler, now: { .now })
    }

    package init(
        handler: Handler?, now: @escaping @Sendable () -> ContinuousClock.Instant
    ) {
        state = Guarded(State(handler: handler))
        self.now = now
    }

    /// Sends all further messages to `handler`; `nil` goes back to stderr.
    public func setHandler(_ handler: Handler?) {
        // The old handler goes when this returns, outside the lock: what it captured may have a
        // `deinit` that has something to say.
        let old = state.withLock { state in
            let old = state.handler
            state.handler = handler
            return old
        }
        withExtendedLifetime(old) {}
    }

    /// Says something, at most a few times a minute for each subject.
    package func say(_ level: Level, about subject: String, _ message: String) {
        let now = self.now()
        let subject = Self.beginning(of: subject, Self.longestSubject)
        let passed: (handler: Handler?, leftOut: Int)? = state.withLock { state in
            let known = state.allowances[subject] != nil
            let key = known || state.allowances.count < Self.subjectLimit ? subject : ""
            var allowance = state.allowances[key] ?? Allowance(since: now)
            defer { state.allowances[key] = allowance }
            let leftOut = allowance.leftOut
            if now - allowance.since >= .seconds(60) { allowance = Allowance(since: now) }
            guard allowance.used < Self.messagesPerMinute else {
                allowance.leftOut += 1
                return nil
            }
            let opensMinute = allowance.used == 0
            allowance.used += 1
            return (state.handler, opensMinute ? leftOut : 0)
        }
        guard let passed else { return }
        let more = passed.leftOut > 0 ? " (\(passed.leftOut) more like it were left out)" : ""
        pass(level, Self.oneLine(message) + more, to: passed.handler)
    }

    /// Says something once in the life of the log, however often it happens.
    ///
    /// After the first 1,000 different messages it is silent; what they tell of is counted anyway.
    package func sayOnce(_ level: Level, _ message: String) {
        let line = Self.oneLine(message)
        let passed: (handler: Handler?, isNew: Bool) = state.withLock { state in
            let isNew = state.told.count < Self.subjectLimit && state.told.insert(line).inserted
            return (state.handler, isNew)
        }
        if passed.isNew { pass(level, line, to: passed.handler) }
    }

    /// Characters that are remembered of subjects and messages; for tests.
    package var rememberedLength: Int {
        state.withLock { state in
            (Array(state.told) + state.allowances.keys).reduce(0) { $0 + $1.utf8.count }
        }
    }

    private static func beginning(of text: String, _ length: Int) -> String {
        text.utf8.count <= length
            ? text : String(String.UnicodeScalarView(text.unicodeScalars.prefix(length)))
    }

    /// Lines that stderr did not take at once, and that are lost.
    package var droppedCount: Int { dropped.load(ordering: .relaxed) }

    private func pass(_ level: Level, _ message: String, to handler: Handler?) {
        if let handler {
            handler(level, message)
        } else if !Self.writeToStandardError(level, message) {
            dropped.wrappingAdd(1, ordering: .relaxed)
        }
    }

    /// A message without control characters, so that no peer's bytes can forge a line of the log.
    private static func oneLine(_ message: String) -> String {
        var line = String.UnicodeScalarView()
        for scalar in message.unicodeScalars.prefix(longestMessage) {
            let isControl = scalar.properties.generalCategory == .control
            line.append(isControl ? " " : scalar)
        }
        return String(line)
    }

    /// Writes a line whole or not at all, without waiting; whether it was taken.
    private static func writeToStandardError(_ level: Level, _ message: String) -> Bool {
        var line = "outrider: \(level.rawValue): \(message)"
        while line.utf8.count >= Int(OUTRIDER_LINE_BYTES) { line.unicodeScalars.removeLast() }
        line += "\n"
        // SAFETY: the bytes are borrowed for the duration of the call.
        return line.withUTF8 { bytes in
            unsafe outrider_say(STDERR_FILENO, bytes.baseAddress, bytes.count)
        }
    }
}
