// SPDX-License-Identifier: Apache-2.0
// Outrider's own log: to standard error, or to a handler of the service.
//
// It is rate-limited, so that it does not flood the log of the service. A message about one subject
// is logged once, or a few times a minute; the number of suppressed messages is added to the next
// one.

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

/// The log of the library, which goes to standard error or to a handler.
///
/// Thread-safe. Recording a measurement logs only if the measurement is refused. A line for
/// standard error is written at once, or dropped and counted (`outrider_log_lines_dropped_total`):
/// if a pipe is full or has no reader, the service neither blocks nor gets a signal.
///
/// ```swift
/// DiagnosticLog.shared.setHandler { level, message in logger.log(level: …, "\(message)") }
/// ```
public final class DiagnosticLog: Sendable {
    /// The severity of a message.
    public enum Level: String, Sendable {
        /// For information; no action is needed.
        case info
        /// Something was refused or left out; the message says what to do.
        case warning
        /// Something that the service requested does not work; the message says what to do.
        case error
    }

    /// Receives each message: one line, without line feeds or other control characters.
    ///
    /// Called on the thread that logs; should not block.
    public typealias Handler = @Sendable (Level, String) -> Void

    /// The default log.
    public static let shared = DiagnosticLog()

    /// The maximum number of messages about one subject in a minute.
    static let messagesPerMinute = 6
    /// The maximum number of subjects with their own rate limit; further subjects share one.
    static let subjectLimit = 1_000
    /// The maximum number of characters of a subject and of a message; longer ones are cut.
    private static let longestSubject = 200
    private static let longestMessage = 2_000

    private struct State: Sendable {
        /// Nil for standard error.
        var handler: Handler?
        var reported: Set<String> = []
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

    /// A separate log, for a test or a second agent; `nil` writes to standard error.
    public convenience init(handler: Handler? = nil) {
        self.init(handler: handler, now: { .now })
    }

    package init(
        handler: Handler?, now: @escaping @Sendable () -> ContinuousClock.Instant
    ) {
        state = Guarded(State(handler: handler))
        self.now = now
    }

    /// Sends all further messages to `handler`; `nil` switches back to standard error.
    public func setHandler(_ handler: Handler?) {
        // Release the old handler when this returns, outside the lock: it may have captured an
        // object whose `deinit` logs.
        let old = state.withLock { state in
            let old = state.handler
            state.handler = handler
            return old
        }
        withExtendedLifetime(old) {}
    }

    /// Logs a message, at most a few times a minute for each subject.
    package func report(_ level: Level, about subject: String, _ message: String) {
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
        let more = passed.leftOut > 0 ? " (\(passed.leftOut) similar messages were suppressed)" : ""
        pass(level, Self.oneLine(message) + more, to: passed.handler)
    }

    /// Logs a message once in the lifetime of the log.
    ///
    /// After the first 1,000 different messages, further ones are dropped; what they report is
    /// still counted.
    package func reportOnce(_ level: Level, _ message: String) {
        let line = Self.oneLine(message)
        let passed: (handler: Handler?, isNew: Bool) = state.withLock { state in
            let isNew =
                state.reported.count < Self.subjectLimit && state.reported.insert(line).inserted
            return (state.handler, isNew)
        }
        if passed.isNew { pass(level, line, to: passed.handler) }
    }

    /// The number of remembered bytes of subjects and messages; for tests.
    package var rememberedLength: Int {
        state.withLock { state in
            (Array(state.reported) + state.allowances.keys).reduce(0) { $0 + $1.utf8.count }
        }
    }

    private static func beginning(of text: String, _ length: Int) -> String {
        text.utf8.count <= length
            ? text : String(String.UnicodeScalarView(text.unicodeScalars.prefix(length)))
    }

    /// Lines lost because standard error did not accept them at once.
    package var droppedCount: Int { dropped.load(ordering: .relaxed) }

    private func pass(_ level: Level, _ message: String, to handler: Handler?) {
        if let handler {
            handler(level, message)
        } else if !Self.writeToStandardError(level, message) {
            dropped.wrappingAdd(1, ordering: .relaxed)
        }
    }

    /// Replaces control characters with spaces, so that bytes from a peer cannot forge a log line.
    private static func oneLine(_ message: String) -> String {
        var line = String.UnicodeScalarView()
        for scalar in message.unicodeScalars.prefix(longestMessage) {
            let isControl = scalar.properties.generalCategory == .control
            line.append(isControl ? " " : scalar)
        }
        return String(line)
    }

    /// Writes a whole line or nothing, without blocking; returns whether it was written.
    private static func writeToStandardError(_ level: Level, _ message: String) -> Bool {
        var line = "outrider: \(level.rawValue): \(message)"
        while line.utf8.count >= Int(OUTRIDER_LINE_BYTES) { line.unicodeScalars.removeLast() }
        line += "\n"
        // SAFETY: the bytes are only used during the call.
        return line.withUTF8 { bytes in
            unsafe outrider_write_line(STDERR_FILENO, bytes.baseAddress, bytes.count)
        }
    }
}
