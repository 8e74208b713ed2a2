// SPDX-License-Identifier: Apache-2.0
// The buckets of a native histogram, defined by one growth factor rather than a list of bounds.
//
// Source: "Native Histograms" of the Prometheus documentation. The limit and how it is enforced are
// those of its Go client, but without resets; NativeHistogram has the reason.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The configuration of native buckets.
///
/// Only the protobuf format has native histograms, and only scrapers that request it get them. In
/// the other formats, a histogram with only native buckets has `_sum`, `_count` and one bucket.
///
/// ```swift
/// registry.histogram("wait_seconds", help: "…", buckets: .native())
/// registry.histogram("wait_seconds", help: "…", buckets: .default.and(native: .init()))
/// ```
public struct NativeBuckets: Hashable, Sendable {
    /// The resolution: each bound is 2^2^-schema times the previous one; from -4 to 8.
    public var schema: Int
    /// Observations with at most this magnitude go into the zero bucket; 2^-128 by default.
    public var zeroThreshold: Double
    /// The maximum width of the zero bucket when there are too many buckets; zero keeps it as it
    /// is.
    public var maximumZeroThreshold: Double
    /// The maximum number of buckets of a series in a scrape.
    ///
    /// Past it, the zero bucket is widened if that is allowed; otherwise every two neighbours are
    /// merged, until the limit is met. The series keeps its count and the wider buckets for as long
    /// as it exists.
    public var limit: Int

    /// Creates buckets of a schema.
    public init(
        schema: Int, zeroThreshold: Double = 0x1p-128, maximumZeroThreshold: Double = 0,
        limit: Int = 160
    ) {
        self.schema = schema
        self.zeroThreshold = zeroThreshold
        self.maximumZeroThreshold = maximumZeroThreshold
        self.limit = limit
    }

    /// Creates buckets whose bounds grow by at most a factor: 1.1, a tenth, gives schema 3.
    public init(growthFactor: Double = 1.1) {
        guard growthFactor > 1 else {
            self.init(schema: .max)
            return
        }
        let schema = -log2(log2(growthFactor)).rounded(.down)
        self.init(schema: Int(min(8, max(-4, schema))))
    }

    /// Why these buckets cannot be used, with advice; nil if they can.
    var problem: String? {
        if !(-4...8).contains(schema) {
            return "a native histogram needs a schema of -4 to 8 and a growth factor above 1"
        }
        if !(zeroThreshold >= 0 && zeroThreshold.isFinite) {
            return "the zero threshold must be finite and not negative"
        }
        if !(maximumZeroThreshold >= 0 && maximumZeroThreshold.isFinite) {
            return "the maximum zero threshold must be finite and not negative"
        }
        if limit < 1 { return "a native histogram needs at least one bucket; raise the limit" }
        return nil
    }
}

extension Buckets {
    /// Only native buckets.
    public static func native(_ native: NativeBuckets = NativeBuckets()) -> Buckets {
        Buckets(bounds: [], native: native)
    }

    /// These buckets, and native ones in addition: an observation counts in both.
    public func adding(native: NativeBuckets) -> Buckets {
        Buckets(bounds: bounds, native: native, problem: problem)
    }
}
