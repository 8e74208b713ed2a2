// SPDX-License-Identifier: Apache-2.0
// How observations are distributed: a count for each bucket, and their sum.
//
//     cell  0 … n-1   observations in the bucket with that upper bound, not cumulative
//     cell  n         observations above the last bound (+Inf)
//     cell  n+1       the sum, as a double
//
// Native buckets, if there are some, are counted besides (NativeHistogram). A histogram with nothing else
// has a bucket +Inf, so that its count and its sum are where those of every histogram are.
//
// Bounds are compared to the value without a branch that depends on it (outrider_bucket).
// There is no cell for the count: a scrape adds the buckets up, so `_count` and the `+Inf` bucket
// are one number and can never disagree. The sum may run ahead of it or behind it by what is
// being observed at that moment.

internal import COutriderCells

/// A Prometheus histogram, classic or native or both: of request durations, sizes, waits.
///
/// Get one from a ``Registry`` (without labels) or from ``Family/with(_:)-(String)``, and keep it.
/// An observation finds its bucket, adds one to it and adds to the sum: no lock, no allocation
/// (cost: docs/performance.md). Safe from any thread, and valid even after its series was
/// removed; then nobody sees it.
///
/// An infinite or NaN observation is refused, since it would spoil the sum for good, and counted in
/// `outrider_observations_refused_total{reason}`. Negative ones are allowed, but OpenMetrics, in
/// which a sum only grows, then has neither `_sum` nor `_count`; the text format has both.
public final class Histogram: Sendable {
    let cells: SeriesCells
    private let bounds: [Double]
    /// The native buckets, if it has some.
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
        cells.giveBack(Self.cellCount(bounds: bounds.count), to: arena)
    }

    /// The first of its cells in the arena.
    var firstCell: Cell { cells.numbers.cell }

    /// Counts one observation, in the family's unit (seconds for durations).
    public func observe(_ value: Double) {
        guard value.isFinite else { return refuse(value) }
        count(value, in: bucket(of: value))
    }

    /// Counts one observation, and offers an example of it to its bucket.
    ///
    /// `exemplar` is not asked for within a second of the bucket's last one; `nil` gives none, and
    /// the next observation is asked again. See ``Exemplar``.
    public func observe(_ value: Double, exemplar: @autoclosure () -> Exemplar?) {
        guard value.isFinite else { return refuse(value) }
        let bucket = bucket(of: value)
        count(value, in: bucket)
        exemplars.offer(
            exemplar, value: value, at: bucket, of: bounds.count + 1, in: arena)
    }

    /// Counts one observation and offers an example of it, for callers that have read the clock.
    ///
    /// - Parameters:
    ///   - value: The observation, in the family's unit.
    ///   - uptime: What the registry's clock says now, in nanoseconds.
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
        if isSample { warmUp() }
        native?.observe(value)
    }

    @inline(never)
    private func warmUp() {
        cells.warmUp(Self.cellCount(bounds: bounds.count), in: arena)
    }

    /// Counts one duration, in seconds.
    public func observe(_ duration: Duration) {
        observe(duration / .seconds(1))
    }

    /// Counts one duration, in seconds, and offers an example of it to its bucket.
    public func observe(_ duration: Duration, exemplar: @autoclosure () -> Exemplar?) {
        observe(duration / .seconds(1), exemplar: exemplar())
    }

    /// Runs `body` and counts how long it took, in seconds, whether it returns or throws.
    public func time<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let clock = arena.surroundings.clock
        let start = clock.uptime
        defer { observe(clock.uptime - start) }
        return try body()
    }

    /// Runs `body` and counts how long it took, in seconds, whether it returns or throws.
    nonisolated(nonsending)
        public func time<Result, Failure: Error>(
            _ body: nonisolated(nonsending) () async throws(Failure) -> Result
        ) async throws(Failure) -> Result
    {
        let clock = arena.surroundings.clock
        let start = clock.uptime
        defer { observe(clock.uptime - start) }
        return try await body()
    }

    /// Observations so far.
    ///
    /// For tests and logs; a scrape reads the cells themselves.
    public var count: Int {
        let numbers = cells.numbers
        return (0...bounds.count).reduce(0) { $0 + Int(clamping: numbers.integer(at: $1)) }
    }

    /// The sum of all observations so far.
    public var sum: Double { cells.numbers.double(at: bounds.count + 1) }

    /// Native buckets that there is room for; for tests.
    package var nativeCapacity: Int { native?.capacity ?? 0 }

    /// The ends of the buckets' lines in OpenMetrics; nil if there never was an exemplar.
    var exemplarSlots: ExemplarSlots? { exemplars.made }

    private func refuse(_ value: Double) {
        arena.surroundings.diagnostics.refuse(
            value.isNaN ? .notANumber : .infinite,
            "a histogram was given \(value), which would spoil its sum")
    }
}
