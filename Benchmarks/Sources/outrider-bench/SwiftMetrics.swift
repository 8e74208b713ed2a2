// SPDX-License-Identifier: Apache-2.0
// The cost of swift-metrics with Outrider behind it: a kept handler, and a new one for each use.

import CoreMetrics
import OutriderMetrics

func swiftMetrics(_ harness: Harness) {
    let registry = Registry()
    let factory = OutriderMetricsFactory(registry: registry)
    let sets = Data.labelSets
    for set in sets { make(set, factory).increment() }
    let hot = sets[285]
    let kept = make(hot, factory)
    let timer = CoreMetrics.Timer(
        label: "bench.latency", dimensions: dimensions(hot), factory: factory)
    harness.operation("swift_metrics_counter_inc") { for _ in 0..<$0 { kept.increment() } }
    harness.operation("swift_metrics_timer_record") {
        for index in 0..<$0 { timer.recordNanoseconds(Int64(index & 1023) * 10_000_000) }
    }
    let remake: @Sendable (Int) -> Void = { for _ in 0..<$0 { make(hot, factory).increment() } }
    harness.operation("swift_metrics_counter_make_inc", remake)
    harness.operation("swift_metrics_counter_make_inc_rotate") {
        for index in 0..<$0 { make(sets[index % 1000], factory).increment() }
    }
    // The same with the no-op backend: the share of swift-metrics itself.
    harness.operation("swift_metrics_counter_make_inc_noop") {
        for _ in 0..<$0 { make(hot, NOOPMetricsHandler.instance).increment() }
    }
    harness.pair("swift_metrics_counter_make_inc", remake)
}

/// Creates and increments one counter repeatedly.
func remakeCounters(_ count: Int) {
    let factory = OutriderMetricsFactory(registry: Registry())
    let hot = Data.labelSets[285]
    for _ in 0..<count { make(hot, factory).increment() }
}

private func make(_ set: LabelSet, _ factory: any MetricsFactory) -> CoreMetrics.Counter {
    CoreMetrics.Counter(
        label: "bench.requests", dimensions: dimensions(set), factory: factory)
}

private func dimensions(_ set: LabelSet) -> [(String, String)] {
    [("method", set.method), ("route", set.route), ("status", set.status)]
}
