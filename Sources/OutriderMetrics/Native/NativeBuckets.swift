// SPDX-License-Identifier: Apache-2.0
// The buckets of a native histogram: not listed, but all of one growth factor.
//
// Source: "Native Histograms" of the Prometheus documentation; the limit is that of its Go client, and what is
// done about it, but for resets: NativeHistogram has the reason.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// How a native histogram sees its observations.
///
/// Only the protobuf format has native histograms, and a scraper asks for that if it wants them.
/// A histogram of these buckets alone has `_sum`, `_count` and one bucket in the other formats.
///
/// ```swift
/// registry.histogram("wait_seconds", help: "…", buckets: .native())
/// registry.histogram("wait_seconds", help: "…", buckets: .default.and(native: .init()))
/// ```
public struct NativeBuckets: Hashable, Sendable {
    /// How fine the buckets are: each bound is 2^2^-schema times the one before; -4 to 8.
    public var schema: Int
    /// Observations this close to zero are in one bucket; 2^-128 unless told otherwise.
    public var zeroThreshold: Double
    /// How far that bucket may be widened when there are too many others; not at all if it is zero.
    public var maximumZeroThreshold: Double
    /// Buckets that a scrape may show of a series.
    ///
    /// With more, the bucket of zero is widened if it may be, else every two neighbours become one,
    /// until there are few enough. The series keeps its count, and these buckets, for as long as it lives.
    public var limit: Int

    /// Buckets of a schema.
    public init(
        schema: Int, zeroThreshold: Double = 0x1p-128, maximumZeroThreshold: Double = 0,
        limit: Int = 160
    ) {
        self.schema = schema
        self.zeroThreshold = zeroThreshold
        self.maximumZeroThreshold = maximumZeroThreshold
        self.limit = limit
    }

    /// The same; the interval has no effect.
    ///
    /// It was the time after which a series with too many buckets counted from zero again. Each such reset
    /// lost observations to the readers that had not scraped them yet.
    @available(*, deprecated, message: "a series keeps its count; leave resetInterval out")
    public init(
        schema: Int, zeroThreshold: Double = 0x1p-128, maximumZeroThreshold: Double = 0,
        limit: Int = 160, resetInterval: Duration?
    ) {
        self.init(
            schema: schema, zeroThreshold: zeroThreshold,
            maximumZeroThreshold: maximumZeroThreshold, limit: limit)
    }

    /// Buckets whose bounds grow by at most a factor: 1.1 is a tenth, and schema 3.
    public init(growthFactor: Double = 1.1) {
        guard growthFactor > 1 else {
            self.init(schema: .max)
            return
        }
        let schema = -log2(log2(growthFactor)).rounded(.down)
        self.init(schema: Int(min(8, max(-4, schema))))
    }

    /// Why these cannot be used, with advice; nil if they can.
    var problem: String? {
        if !(-4...8).contains(schema) {
            return "a native histogram has a schema of -4 to 8, and a growth factor above 1"
        }
        if !(zeroThreshold >= 0 && zeroThreshold.isFinite) {
            return "the threshold of zero must be a number that is not negative"
        }
        if !(maximumZeroThreshold >= 0 && maximumZeroThreshold.isFinite) {
            return "the largest threshold of zero must be a number that is not negative"
        }
        if limit < 1 { return "a native histogram needs at least one bucket; raise the limit" }
        return nil
    }
}

extension Buckets {
    /// Native buckets alone.
    public static func native(_ native: NativeBuckets = NativeBuckets()) -> Buckets {
        Buckets(bounds: [], native: native)
    }

    /// These buckets, and native ones beside them: an observation is counted in both.
    public func and(native: NativeBuckets) -> Buckets {
        Buckets(bounds: bounds, native: native, problem: problem)
    }
}
