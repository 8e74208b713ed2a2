// SPDX-License-Identifier: Apache-2.0
// Tests of handlers: their identity, their owners, and the removal of their series.

import CoreMetrics
import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct SwiftMetricsHandlerTests {
    private let registry = Registry(log: .silent)
    private let factory: OutriderMetricsFactory

    init() {
        factory = OutriderMetricsFactory(registry: registry)
    }

    private func counter(
        _ dimensions: [(String, String)], _ label: String = "c"
    ) -> any CoreMetrics.CounterHandler {
        factory.makeCounter(label: label, dimensions: dimensions)
    }

    @Test func `the same label and dimensions in any order are the same handler`() throws {
        let first = counter([("a", "1"), ("b", "2"), ("c", "3")])
        #expect(counter([("a", "1"), ("b", "2"), ("c", "3")]) === first)
        #expect(counter([("c", "3"), ("a", "1"), ("b", "2")]) === first)
        #expect(counter([("b", "2"), ("c", "3"), ("a", "1")]) === first)
        // The second time, each order is cached.
        #expect(counter([("c", "3"), ("a", "1"), ("b", "2")]) === first)
        first.increment(by: 1)
        try registry.expect("c_total", ["a": "1", "b": "2", "c": "3"], 1)
        #expect(registry.handlerCount == 1)
    }

    @Test(arguments: [
        [("a", "2"), ("b", "1")], [("a", "1")], [("a", "1"), ("b", "2"), ("c", "")], [],
        [("a", "1"), ("b", "2 ")], [("1", "a"), ("2", "b")],
    ])
    func `different dimensions are a different handler, unless only empty values differ`(
        _ other: [(String, String)]
    ) {
        let first = counter([("a", "1"), ("b", "2")])
        let isSame = other.contains { $0.1.isEmpty }
        #expect((counter(other) === first) == isSame)
        #expect((counter(other) === first) == isSame)
    }

    @Test func `of two dimensions with one name, the last wins`() throws {
        counter([("a", "1"), ("a", "2")]).increment(by: 1)
        counter([("a", "2"), ("a", "1")]).increment(by: 10)
        counter([("a", "1"), ("a", "1")]).increment(by: 100)
        try registry.expect("c_total", ["a": "2"], 1)
        try registry.expect("c_total", ["a": "1"], 110)
    }

    @Test func `every form of one kind and name has one handler`() {
        let meter = factory.makeMeter(label: "m", dimensions: [])
        #expect(factory.makeRecorder(label: "m", dimensions: [], aggregate: false) === meter)
        let count = factory.makeCounter(label: "n", dimensions: [])
        #expect(factory.makeFloatingPointCounter(label: "n", dimensions: []) === count)
        let timer = factory.makeTimer(label: "t", dimensions: [])
        let recorder = factory.makeRecorder(label: "t_seconds", dimensions: [], aggregate: true)
        #expect(recorder === timer)
    }

    @Test func `two factories on one registry return the same handler`() {
        let other = OutriderMetricsFactory(registry: registry)
        #expect(
            other.makeMeter(label: "m", dimensions: [("a", "1")])
                === factory.makeMeter(label: "m", dimensions: [("a", "1")]))
    }

    @Test func `a series is removed when its last owner destroys it`() throws {
        let first = CoreMetrics.Counter(label: "c", dimensions: [("a", "1")], factory: factory)
        let second = CoreMetrics.Counter(label: "c", dimensions: [("a", "1")], factory: factory)
        let third = FloatingPointCounter(label: "c", dimensions: [("a", "1")], factory: factory)
        first.increment()
        first.destroy()
        second.destroy()
        try registry.expect("c_total", ["a": "1"], 1)
        third.destroy()
        #expect(registry.value("c_total", ["a": "1"]) == nil)
        #expect(registry.handlerCount == 0)
    }

    @Test func `a destroyed handler works unexposed, and destroying it again has no effect`() {
        let old = CoreMetrics.Counter(label: "c", factory: factory)
        old.destroy()
        let new = CoreMetrics.Counter(label: "c", factory: factory)
        old.increment(by: 5)
        old.destroy()
        old.reset()
        new.increment()
        #expect(registry.value("c_total") == 1)
    }

    @Test func `a handler created again after its destruction starts at zero`() throws {
        for _ in 0..<3 {
            let timer = CoreMetrics.Timer(label: "t", dimensions: [("a", "1")], factory: factory)
            timer.recordSeconds(1)
            try registry.expect("t_seconds_count", ["a": "1"], 1)
            timer.destroy()
        }
    }

    @Test func `a handler of every form can be destroyed`() {
        let counter = CoreMetrics.Counter(label: "a", factory: factory)
        let fraction = FloatingPointCounter(label: "b", factory: factory)
        let meter = Meter(label: "c", factory: factory)
        let gauge = CoreMetrics.Gauge(label: "d", factory: factory)
        let recorder = Recorder(label: "e", factory: factory)
        let timer = CoreMetrics.Timer(label: "f", factory: factory)
        #expect(registry.handlerCount == 6)
        counter.destroy()
        fraction.destroy()
        meter.destroy()
        gauge.destroy()
        recorder.destroy()
        timer.destroy()
        #expect(registry.handlerCount == 0)
        #expect(!registry.text().contains("swift-metrics."))
    }

    @Test func `handlers of other factories are ignored`() throws {
        let stranger = OutriderMetricsFactory(registry: .bare)
        counter([]).increment(by: 1)
        factory.destroyCounter(stranger.makeCounter(label: "c", dimensions: []))
        factory.destroyCounter(NOOPMetricsHandler.instance)
        factory.destroyTimer(NOOPMetricsHandler.instance)
        try registry.expect("c_total", 1)
    }

    @Test func `a handler outlives its registry`() {
        let handler = OutriderMetricsFactory(registry: .bare).makeCounter(
            label: "c", dimensions: [])
        handler.increment(by: 1)
        handler.reset()
    }

    @Test func `handlers created for each use and never destroyed use no additional memory`() throws
    {
        for _ in 0..<1_000 {
            CoreMetrics.Counter(
                label: "c", dimensions: [("a", "1"), ("b", "2")], factory: factory
            ).increment()
        }
        try registry.expect("c_total", ["a": "1", "b": "2"], 1_000)
        #expect(registry.handlerCount == 1)
    }

    @Test func `all spellings of a label set are one series`() throws {
        for n in 0..<100 {
            counter([("a", "1"), ("b\(n)", "")]).increment(by: 1)
        }
        try registry.expect("c_total", ["a": "1"], 100)
        #expect(registry.handlerCount == 1)
    }

    @Test func `a hundred dimensions are accepted`() throws {
        let many = (0..<100).map { ("d\($0)", "\($0)") }
        let first = counter(many)
        #expect(counter(many.reversed()) === first)
        first.increment(by: 1)
        try registry.expect("c_total", Dictionary(uniqueKeysWithValues: many), 1)
    }

    @Test func `overlong dimensions are recorded unexposed and counted`() {
        let long = String(repeating: "x", count: 1 << 20)
        counter((0..<64).map { ("d\($0)", long) }).increment(by: 1)
        #expect(registry.value("c_total") == nil)
        #expect(registry.observationsRefused("labels_too_long") == "1")
    }

    @Test func `removed series leave no handlers behind`() {
        for n in 0..<5_000 {
            let counter = CoreMetrics.Counter(
                label: "c", dimensions: [("n", "\(n)")], factory: factory)
            counter.increment()
            if n >= 10 {
                let old = CoreMetrics.Counter(
                    label: "c", dimensions: [("n", "\(n - 10)")], factory: factory)
                old.destroy()
                old.destroy()
            }
        }
        #expect(registry.handlerCount == 10)
    }

    @Test func `each lookup beyond the limit counts once, including the first one`() throws {
        _ = registry.counter("c", help: "", labels: ["n"], limit: SeriesLimit(count: 1))
        for n in 0..<5 {
            let made = CoreMetrics.Counter(
                label: "c", dimensions: [("n", "\(n)")], factory: factory)
            made.increment()
            // The handlers beyond the limit are destroyed, so that each is the first to share the
            // series.
            if n > 0 { made.destroy() }
        }
        try registry.expect("c_total", ["n": "_OVERFLOW"], 4)
        try registry.expect("outrider_series_overflowed_total", ["family": "c_total"], 4)
    }

    @Test func `handlers of removed overflow series are released`() {
        let family = registry.counter(
            "c", help: "", labels: ["n"], limit: SeriesLimit(count: 1))
        for _ in 0..<3_000 {
            for n in 0..<2 {
                CoreMetrics.Counter(label: "c", dimensions: [("n", "\(n)")], factory: factory)
                    .increment()
            }
            family.removeAll()
        }
        #expect(registry.handlerCount < 2_100)
    }

    @Test func `a counter whose series was removed does not reset the next one`() {
        let clock = ManualClock(secondsSinceEpoch: 1_000)
        let registry = Registry(hasOwnMetrics: false, log: .silent, clock: clock)
        let factory = OutriderMetricsFactory(registry: registry)
        let old = factory.makeCounter(label: "c", dimensions: [("a", "1")])
        factory.destroyCounter(old)
        factory.makeCounter(label: "c", dimensions: [("a", "1")]).increment(by: 5)
        clock.advance(by: .seconds(10))
        old.reset()
        let text = registry.openMetricsText(creationTimes: true)
        #expect(text.contains("c_created{a=\"1\"} 1000\n"))
        #expect(text.contains("c_total{a=\"1\"} 5\n"))
    }
}
