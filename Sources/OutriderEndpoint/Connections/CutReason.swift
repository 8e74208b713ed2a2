// SPDX-License-Identifier: Apache-2.0
// Why the endpoint closes connections; every such connection is counted.

/// Why an endpoint closes a connection before its client does.
public struct CutReason: Hashable, Sendable, CustomStringConvertible {
    /// The reason as the value of a metric's label.
    public let description: String

    /// No complete request arrived in time.
    public static let requestTimeout = CutReason(description: "too_slow_to_ask")
    /// The client did not read a response in time.
    public static let responseTimeout = CutReason(description: "too_slow_to_read")
    /// The connection was idle, and a newcomer needed its slot.
    public static let displaced = CutReason(description: "crowded")
    /// The client stopped reading for a while, and another client needed its slot.
    public static let stalled = CutReason(description: "stalled")
    /// It arrived when the limits had no room for it.
    public static let refused = CutReason(description: "refused")
    /// Its address opens too many connections a second.
    public static let rateLimited = CutReason(description: "too_often")
}
