// SPDX-License-Identifier: Apache-2.0
// A time in which an executor or event loop did not answer.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A time in which something did not answer.
public struct Stall: Sendable {
    /// What did not: `main actor`, `event loop 3`.
    public let what: String
    /// When its last job had been given to it, in seconds since the epoch.
    public let beganAt: Double
    /// How long it had not answered when this was last looked at.
    public internal(set) var duration: Duration
    /// Whether it has answered again.
    public internal(set) var isOver = false
    /// The thread that was found at it, by name and number; nil if there was none.
    public let thread: String?
    /// What the kernel said of that thread.
    public let state: String
    /// What it was doing: functions, innermost first.
    public let functions: [String]

    /// How many functions a sentence has room for.
    private static let functionsInSentence = 8

    /// A sentence for people: what, how long, since when.
    package var sentence: String {
        let seconds = Double(Int(duration / .milliseconds(10))) / 100
        let end = isOver ? "did not answer for \(seconds) s" : "has not answered for \(seconds) s"
        return "The \(what) \(end), from \(Self.text(of: beganAt)) on."
    }

    /// The same with the innermost functions.
    public var summary: String {
        if functions.isEmpty { return sentence }
        let named = functions.prefix(Self.functionsInSentence).joined(separator: " ← ")
        return "\(sentence) Thread \(thread ?? "?"): \(named)"
    }

    /// Everything that is known, a function a line.
    public var report: String {
        let lines = functions.map { "    \($0)\n" }.joined()
        return "\(summary)\n  \(thread.map { "thread \($0), \(state)\n" } ?? "no thread\n")\(lines)"
    }

    /// A time as RFC 3339 writes it, in UTC.
    private static func text(of secondsSinceEpoch: Double) -> String {
        var seconds = time_t(secondsSinceEpoch)
        var parts = unsafe tm()
        guard unsafe gmtime_r(&seconds, &parts) != nil else { return "\(secondsSinceEpoch)" }
        func two(_ number: Int32) -> String { (number < 10 ? "0" : "") + String(number) }
        // SAFETY: the fields are plain numbers; the one that is a pointer is left alone.
        let day = unsafe "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        let time = unsafe "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
        return "\(day)T\(time)Z"
    }
}
