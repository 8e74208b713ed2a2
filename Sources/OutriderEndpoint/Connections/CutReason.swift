// SPDX-License-Identifier: Apache-2.0
// Why connections are ended from our side: nobody is cut off without a count.

/// Why an endpoint ends a connection before its client does.
public struct CutReason: Hashable, Sendable, CustomStringConvertible {
    /// The reason as it stands in a metric's label.
    public let description: String

    /// No whole request came in time.
    public static let tooSlowToAsk = CutReason(description: "too_slow_to_ask")
    /// An answer was not read in time.
    public static let tooSlowToRead = CutReason(description: "too_slow_to_read")
    /// It waited for nothing, and its place was needed.
    public static let crowded = CutReason(description: "crowded")
    /// Its client read nothing for a while, and its place was needed.
    public static let stalled = CutReason(description: "stalled")
    /// It came while there was no room for it.
    public static let refused = CutReason(description: "refused")
    /// Its address opens too many connections a second.
    public static let tooOften = CutReason(description: "too_often")
}
