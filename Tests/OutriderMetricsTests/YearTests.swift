// SPDX-License-Identifier: Apache-2.0
// Tests of a simulated year of a service on a manual clock: memory after the year is as after the
// first day.
//
// Bytes and entries are counted instead of measured, so other memory in the process does not
// matter.

import CoreMetrics
import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct YearTests {
    private static let protobuf =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

    private let clock = ManualClock()

    /// Calls `step` for each scrape of a year, one an hour on the first day and then four a day;
    /// returns the value of `kept` after the first day and at the end.
    private func year(
        _ step: (_ number: Int) -> Void, kept: () -> Int
    ) -> (day: Int, end: Int) {
        var day = 0
        for number in 0..<24 + 4 * 364 {
            step(number)
            if number == 23 { day = kept() }
            clock.advance(by: .seconds(number < 24 ? 3_600 : 6 * 3_600))
        }
        return (day, kept())
    }

    private func expectSteady(
        _ kept: (day: Int, end: Int), _ location: SourceLocation = #_sourceLocation
    ) {
        #expect(kept.day > 0, sourceLocation: location)
        #expect(
            Double(kept.end) <= Double(kept.day) * 1.1, "\(kept)", sourceLocation: location)
    }

    @Test(arguments: [-4, 0, 3, 5, 6, 8], [false, true])
    func `a native histogram that outgrows its bucket limit stays at the first day's size`(
        schema: Int, isSigned: Bool
    ) {
        let registry = Registry(hasOwnMetrics: false, log: .silent, clock: clock)
        let buckets = NativeBuckets(schema: schema)
        let histogram = registry.histogram("h", help: "H.", buckets: .native(buckets))
        var random = SeededGenerator(seed: 42)
        var size = 0
        let kept = year { number in
            for _ in 0..<30 {
                // From a millisecond to ten seconds, or the negatives of these.
                let power = Double.random(in: -10...3.3, using: &random)
                let value = Double(
                    sign: .plus, exponent: Int(power.rounded(.down)),
                    significand: 1 + power - power.rounded(.down))
                histogram.observe(isSigned && Bool.random(using: &random) ? -value : value)
            }
            size = max(size, registry.respond(accept: Self.protobuf).body.count)
        } kept: {
            histogram.nativeCapacity
        }
        expectSteady(kept)
        #expect(size < 4_096)
    }

    @Test func `series that expire when idle leave a scrape of the first day's size`() {
        let registry = Registry(log: .silent, clock: clock)
        let limit = SeriesLimit(idleTime: .seconds(3_600))
        let hits = registry.counter("hits", help: "H.", labels: ["user"], limit: limit)
        let waits = registry.histogram("wait", help: "W.", labels: ["user"], limit: limit)
        let kept = year { number in
            for user in 0..<20 {
                // Ten digits, so that all names have the same length.
                hits.with("\(1_000_000_000 + number * 20 + user)").increment()
                waits.with("\(1_000_000_000 + number * 20 + user)").observe(1)
            }
            _ = registry.respond()
        } kept: {
            registry.text().utf8.count + hits.count + waits.count
        }
        expectSteady(kept)
    }

    @Test func `exemplars replace earlier ones`() {
        let registry = Registry(hasOwnMetrics: false, log: .silent, clock: clock)
        let waits = registry.histogram("wait", help: "W.")
        let kept = year { number in
            for value in [0.001, 0.1, 10] {
                waits.observe(value, exemplar: .trace("\(1_000_000_000 + number)"))
            }
        } kept: {
            registry.openMetricsText().utf8.count
        }
        expectSteady(kept)
    }

    @Test func `families beyond their limits and their notices stay at the first day's size`() {
        let registry = Registry(log: .silent, clock: clock)
        let families = (0..<30).map {
            registry.counter("f\($0)", help: "F.", labels: ["a"], limit: SeriesLimit(count: 5))
        }
        let kept = year { number in
            for family in families { family.with("\(1_000_000_000 + number)").increment() }
            if number % 100 == 0 { _ = registry.respond() }
        } kept: {
            registry.overflowNotices.joined().utf8.count + registry.text().utf8.count
        }
        expectSteady(kept)
    }

    @Test func `handlers of swift-metrics that are destroyed are released`() {
        let registry = Registry(log: .silent, clock: clock)
        let factory = OutriderMetricsFactory(registry: registry)
        var made: [CoreMetrics.Counter] = []
        let kept = year { number in
            made.append(
                CoreMetrics.Counter(
                    label: "c", dimensions: [("n", "\(1_000_000_000 + number)")], factory: factory))
            made.last?.increment()
            if made.count > 4 { made.removeFirst().destroy() }
        } kept: {
            registry.handlerCount * 100 + registry.text().utf8.count
        }
        expectSteady(kept)
    }
}
