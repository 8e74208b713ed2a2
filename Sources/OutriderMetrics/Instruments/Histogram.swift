// SPDX-License-Identifier: Apache-2.0
// A histogram: the number of observations in each bucket, and their sum.
//
//     cell  0 … n-1   observations in the bucket with that upper bound, not cumulative
//     cell  n         observations above the last bound (+Inf)
//     cell  n+1       the sum, as a double
//
// Native buckets are counted separately (NativeHistogram). A histogram with only native buckets
// still has the bucket +Inf, so its count and sum are where every histogram has them.
//
// The bucket search has no branch that depends on the value (outrider_bucket). There is no cell for
// the count: a scrape adds up the buckets, so `_count` and the `+Inf` bucket always agree. The sum
// may be ahead of or behind the count by the observations in progress.

internal import COutriderCells

/// A Prometheus histogram, classic, native or both: request durations, sizes, waiting times.
///
/// Get one from a ``Registry`` (without labels) or from ``Family/with(_:)-(String)``, and keep it.
/// An observation adds one to its bucket and the value to the sum, without a lock or an allocation
/// (cost: docs/performance.md). Safe from any thread. It stays valid after its series was removed,
/// but is then no longer exposed.
///
/// An infinite or NaN observation is refused, since it would make the sum useless from then on, and
/// counted in `outrider_observations_refused_total{reason}`. Negative observations are allowed. But
/// OpenMetrics, where a sum can only grow, has neither `_sum` nor `_count` if the sum or a bound is
/// negative; the text format has both.
public final class Histogram: Sendable {
    let cells: SeriesCells
    private let bounds: [Double]
    /// The native buckets; nil if the histogram has none.
    let native: NativeHistogram?
    private let arena: CellArena
    private let exemplars = LazyExemplars()

    static func cellCount(bounds: Int) -> Int { bounds + 2 }

    init(in arena: CellArena, bounds: [Double], native: NativeBuckets?) {
        self.native = native.map { NativeHistogram($0, in: arena) }
        cells = SeriesCells(arena.allocate())
        self.arena = arena
        self.bounds = bounds
    }

    deinit {
        cells.release(Self.cellCount(bounds: bounds.count), to: arena)
    }

    /// The first of its cells in the arena.
    var firstCell: Cell { cells.numbers.cell }

    /// Counts one observation, in the family's unit (seconds for durations).
    public func observe(_ value: Double) {
        guard value.isFinite else { return refuse(value) }
        count(value, in: bucket(of: value))
    }

    /// Counts one observation, and offers an exemplar of it to its bucket.
    ///
    /// `exemplar` is not evaluated within a second of the bucket's last exemplar. If it returns
    /// `nil`, the next observation evaluates it again. See ``Exemplar``.
    public func observe(_ value: Double, exemplar: @autoclosure () -> Exemplar?) {
        guard value.isFinite else { return refuse(value) }
        let bucket = bucket(of: value)
        count(value, in: bucket)
        exemplars.offer(
            exemplar, value: value, at: bucket, of: bounds.count + 1, in: arena)
    }

    /// Counts one observation and offers an exemplar of it, for callers that already read the
    /// clock.
    ///
    /// - Parameters:
    ///   - value: The observation, in the family's unit.
    ///   - uptime: The current uptime of the registry's clock, in nanoseconds.
    ///   - exemplar: As in ``observe(_:exemplar:)-(Double,_)``.
    package func observe(_ value: Double, at uptime: UInt64, exemplar: () -> Exemplar?) {
        guard value.isFinite else { return refuse(value) }
        let bucket = bucket(of: value)
        count(value, in: bucket)
        exemplars.offer(
            exemplar, value: value, at: bucket, of: bounds.count + 1, in: arena,
            milliseconds: uptime / 1_000_000)
    }

    @inline(__always)
    private func bucket(of value: Double) -> Int {
        // SAFETY: the bounds are borrowed for one call.
        unsafe bounds.withUnsafeBufferPointer { bounds in
            unsafe Int(outrider_bucket(bounds.baseAddress, bounds.count, value))
        }
    }

    @inline(__always)
    private func count(_ value: Double, in bucket: Int) {
        let isSample = cells.add(1, at: bucket)
        _ = cells.add(fraction: value, at: bounds.count + 1)
        if isSample { addRowsIfBusy() }
        native?.observe(value)
    }

    @inline(never)
    private func addRowsIfBusy() {
        cells.addRowsIfBusy(Self.cellCount(bounds: bounds.count), in: arena)
    }

    /// Counts one duration, in seconds.
    public func observe(_ duration: Duration) {
        observe(duration / .seconds(1))
    }

    /// Counts one duration, in seconds, and offers an exemplar of it to its bucket.
    public func observe(_ duration: Duration, exemplar: @autoclosure () -> Exemplar?) {
        observe(duration / .seconds(1), exemplar: exemplar())
    }

    /// Runs `body` and counts its duration in seconds, whether it returns or throws.
    public func time<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let clock = arena.context.clock
        let start = clock.uptime
        defer { observe(clock.uptime - start) }
        return try body()
    }

    /// Runs `body` and counts its duration in seconds, whether it returns or throws.
    nonisolated(nonsending)
        public func time<Result, Failure: Error>(
            _ body: nonisolated(nonsending) () async throws(Failure) -> Result
        ) async throws(Failure) -> Result
    {
        let clock = arena.context.clock
        let start = clock.uptime
        defer { observe(clock.uptime - start) }
        return try await body()
    }

    /// The number of observations so far.
    ///
    /// For tests and logs; a scrape reads the cells directly.
    public var count: Int {
        let numbers = cells.numbers
        return (0...bounds.count).reduce(0) { $0 + Int(clamping: numbers.integer(at: $1)) }
    }

    /// The sum of all observations so far.
    public var sum: Double { cells.numbers.double(at: bounds.count + 1) }

    /// The number of native buckets that memory was allocated for; for tests.
    package var nativeCapacity: Int { native?.capacity ?? 0 }

    /// The exemplars that end the buckets' lines in OpenMetrics; nil if there never was one.
    var exemplarSlots: ExemplarSlots? { exemplars.made }

    private func refuse(_ value: Double) {
        arena.context.diagnostics.refuse(
            value.isNaN ? .notANumber : .infinite,
            "histogram observation \(value) rejected; it would corrupt the sum")
    }
}
