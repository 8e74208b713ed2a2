// SPDX-License-Identifier: Apache-2.0
// Counts allocations with a counter that is preloaded into the process.

import CBench
import OutriderHTTP
import OutriderMetrics

/// Prints the allocations of scrapes and of recording; false if a limit is exceeded.
func reportAllocations() -> Bool {
    guard bench_allocations() >= 0 else {
        print("the allocation counter is not preloaded; scripts/bench.sh --check does that")
        return false
    }

    func allocations(_ body: () -> Void) -> Int {
        body()  // one-time allocations do not count
        let before = bench_allocations()
        body()
        return bench_allocations() - before
    }

    func scrape(_ fill: (Registry) -> Void) -> Int {
        let registry = Registry(hasOwnMetrics: false)
        fill(registry)
        return allocations { _ = registry.respond() }
    }

    let recorded = recordEverything(allocations)
    let recorder = HTTPRequestRecorder(registry: Registry())
    let tokens = allocations { RequestBench.resolved(recorder, 1_000) }
    let tokensByTemplate = allocations { RequestBench.byTemplate(recorder, 1_000) }
    let exemplars = allocations { RequestBench.withoutExemplar(recorder, 1_000) }
    let few = scrape { Data.gauges(in: $0, count: 10) }
    let many = scrape { Data.gauges(in: $0, count: 10_000) }
    let counters = scrape { Data.counters(in: $0) }
    let histograms = scrape { Data.histograms(in: $0) }
    for (name, value) in [
        ("recording", recorded), ("scrape_10_gauges", few), ("scrape_10000_gauges", many),
        ("scrape_10000_counters", counters), ("scrape_1000_histograms", histograms),
        ("1000_request_tokens", tokens), ("1000_request_tokens_by_template", tokensByTemplate),
        ("1000_request_tokens_without_exemplar", exemplars),
    ] {
        print("outrider\tallocations_\(name)\t1\t\(value)\t\(value)")
    }
    // Families cost a few allocations each, series none. A request costs its token and nothing
    // else.
    return recorded == 0 && many == few && counters < 60 && histograms < 30 && tokens == 1_000
        && tokensByTemplate == 1_000 && exemplars == 1_000
}

private func recordEverything(_ allocations: (() -> Void) -> Int) -> Int {
    let registry = Registry(log: DiagnosticLog { _, _ in })
    let full = registry.counter(
        "full_total", help: "Full.", labels: ["x", "y"], limit: SeriesLimit(count: 1))
    let counters = registry.counter("a_total", help: "A.", labels: ["x", "y"])
    let counter = counters.with("x", "y")
    let typed = registry.counter("t_total", help: "T.", labels: ["x"]).typed(Level.self)
    typed.with(.high).increment()
    let gauge = registry.gauge("b", help: "B.")
    let histogram = registry.histogram("c", help: "C.")
    return allocations {
        for index in 0..<1_000 {
            counter.increment()
            counter.increment(by: 0.5)
            counters.with("x", "y").increment(by: index)
            typed.with(.high).increment()
            full.with("x", index % 2 == 0 ? "y" : "z").increment()
            gauge.set(Double(index))
            gauge.increment()
            histogram.observe(Double(index))
        }
    }
}
