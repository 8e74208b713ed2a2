// SPDX-License-Identifier: Apache-2.0
// The upper bounds of a classic histogram's buckets.

/// Upper bounds of buckets, each inclusive, ascending; `+Inf` is always added.
///
/// Invalid bounds do not stop the process: registering a histogram with them is refused, and the
/// reason is logged or thrown.
///
/// ```swift
/// registry.histogram("queue_wait_seconds", help: "…", buckets: [0.001, 0.01, 0.1, 1])
/// registry.histogram(
///     "reply_bytes", help: "…", buckets: .exponential(start: 64, factor: 4, count: 8))
/// ```
public struct Buckets: Hashable, Sendable, ExpressibleByArrayLiteral {
    /// The largest number of buckets: each is a line in every scrape of every series.
    public static let maximumCount = 500

    /// The upper bounds without `+Inf`; empty if ``problem`` is set.
    let bounds: [Double]
    /// The native buckets; nil if the histogram has none.
    let native: NativeBuckets?
    /// Why these buckets cannot be used, with advice; nil if they can.
    let problem: String?

    /// Request durations in seconds, 5 ms to 10 s; OpenTelemetry's advice for HTTP servers.
    public static let `default`: Buckets = [
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
    ]

    /// ``default``, with 0.5, 1 and 2.5 ms below.
    public static let lowLatency: Buckets = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5,
        7.5, 10,
    ]

    /// Buckets with these upper bounds, in ascending order; a `+Inf` at the end may be left out.
    public init(_ bounds: [Double]) {
        let finite = bounds.last == .infinity ? Array(bounds.dropLast()) : bounds
        problem = Self.problem(in: finite)
        // Minus zero becomes zero, since formats write the two differently.
        self.bounds = problem == nil ? finite.map { $0 == 0 ? 0 : $0 } : []
        native = nil
    }

    /// Buckets that may be native, with bounds that were already checked.
    init(bounds: [Double], native: NativeBuckets, problem: String? = nil) {
        self.bounds = bounds
        self.native = native
        self.problem = problem ?? native.problem
    }

    /// Buckets with these upper bounds, in ascending order.
    public init(arrayLiteral bounds: Double...) {
        self.init(bounds)
    }

    /// `count` buckets of the same `width`, the first with the upper bound `start`.
    ///
    /// Computed in decimal: 0.1 and two steps of 0.1 make exactly 0.3.
    public static func linear(start: Double, width: Double, count: Int) -> Buckets {
        Buckets(WrittenDecimal.sums(from: start, step: width, count: clamped(count)))
    }

    /// `count` buckets, each bound `factor` times the one before, the first `start`.
    ///
    /// Computed in decimal: ten times a millionth is exactly 0.00001.
    public static func exponential(start: Double, factor: Double, count: Int) -> Buckets {
        Buckets(WrittenDecimal.products(from: start, factor: factor, count: clamped(count)))
    }

    /// Limits the count to one more than the maximum, which is enough to be refused.
    private static func clamped(_ count: Int) -> Int { min(max(0, count), maximumCount + 1) }

    private static func problem(in bounds: [Double]) -> String? {
        if bounds.isEmpty { return "a histogram needs at least one bucket; give an upper bound" }
        if bounds.count > maximumCount {
            return "more than \(maximumCount) buckets; each is a line in every scrape, use fewer"
        }
        if !bounds.allSatisfy(\.isFinite) {
            return "a bucket's upper bound must be a finite number (+Inf is added automatically)"
        }
        if zip(bounds, bounds.dropFirst()).contains(where: { $0 >= $1 }) {
            return "buckets must ascend, each upper bound larger than the one before; sort them"
        }
        return nil
    }
}
