// SPDX-License-Identifier: Apache-2.0
// A period in which an executor or event loop did not respond.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A period in which an executor or event loop did not respond.
public struct Stall: Sendable {
    /// The target that did not respond: `main actor`, `event loop 3`.
    public let target: String
    /// When its last job was enqueued, in seconds since the epoch.
    public let beganAt: Double
    /// How long it had not responded at the last check.
    public internal(set) var duration: Duration
    /// Whether it has responded again.
    public internal(set) var isOver = false
    /// The thread found running it, by name and id; nil if there was none.
    public let thread: String?
    /// The state of that thread according to the kernel.
    public let state: String
    /// The stack of that thread: function names, innermost first.
    public let functions: [String]

    /// Maximum number of functions in a sentence.
    private static let functionsInSentence = 8

    /// A sentence for operators: the target, the duration and the start.
    package var sentence: String {
        let seconds = Double(Int(duration / .milliseconds(10))) / 100
        let end = isOver ? "did not respond for \(seconds) s" : "has not responded for \(seconds) s"
        return "The \(target) \(end), starting at \(Self.text(of: beganAt))."
    }

    /// The same sentence with the innermost functions.
    public var summary: String {
        if functions.isEmpty { return sentence }
        let named = functions.prefix(Self.functionsInSentence).joined(separator: " ← ")
        return "\(sentence) Thread \(thread ?? "?"): \(named)"
    }

    /// A full report, with one function per line.
    public var report: String {
        let lines = functions.map { "    \($0)\n" }.joined()
        return "\(summary)\n  \(thread.map { "thread \($0), \(state)\n" } ?? "no thread\n")\(lines)"
    }

    /// Formats a time as RFC 3339, in UTC.
    private static func text(of secondsSinceEpoch: Double) -> String {
        var seconds = time_t(secondsSinceEpoch)
        var parts = unsafe tm()
        guard unsafe gmtime_r(&seconds, &parts) != nil else { return "\(secondsSinceEpoch)" }
        func two(_ number: Int32) -> String { (number < 10 ? "0" : "") + String(number) }
        // SAFETY: the fields are plain numbers; the one pointer field is not used.
        let day = unsafe "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        let time = unsafe "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
        return "\(day)T\(time)Z"
    }
}
