// SPDX-License-Identifier: Apache-2.0
// Prints one line for each operation: `outrider op threads min_ns median_ns`, with tabs.
//
//     outrider-bench [--quick]       times
//     outrider-bench --allocations   allocations of scrapes and of recording (needs the preloaded
//                                    counter of scripts/bench.sh)
//     outrider-bench --loop OP N     runs only one operation, N times, for an instruction counter:
//                                    the difference between two N is the cost
//                    --on-first-cpu  before --loop: assumes the first CPU where the kernel does
//                                    not report it

import CBench
import Glibc
import OutriderHTTP
import OutriderMetrics

let arguments = CommandLine.arguments
if arguments.contains("--allocations") {
    exit(reportAllocations() ? 0 : 1)
}
if arguments.contains("--on-first-cpu"), bench_be_on_first_cpu() == 0 { exit(3) }
if let loop = arguments.firstIndex(of: "--loop"), arguments.count > loop + 2,
    let count = Int(arguments[loop + 2])
{
    exit(runLoop(arguments[loop + 1], count) ? 0 : 2)
}
runTimings(isQuick: arguments.contains("--quick"))

func runTimings(isQuick: Bool) {
    // Creation first, because it needs a fresh heap.
    creation()
    let harness = Harness(isQuick: isQuick)
    recording(harness)
    lookUps(harness)
    requests(harness)
    swiftMetrics(harness)
    instruments(harness)
    scrapes(harness)
    RuntimeBench.run(harness)
}

func creation() {
    pin(to: 0)
    _ = (Data.labelSets, Data.values)
    let registry = Registry(hasOwnMetrics: false)
    let line = { (op: String, value: Double) in
        print(
            "outrider\t\(op)\t1\t\((value * 100).rounded() / 100)\t\((value * 100).rounded() / 100)"
        )
    }
    var (bytes, start) = (bench_heap_bytes(), threadTime())
    Data.counters(in: registry)
    line("register_counter", Double(threadTime() - start) / 10_000)
    line("heap_counter_bytes", Double(bench_heap_bytes() - bytes) / 10_000)
    (bytes, start) = (bench_heap_bytes(), threadTime())
    Data.histograms(in: registry)
    line("register_histogram", Double(threadTime() - start) / 1_000)
    line("heap_histogram_bytes", Double(bench_heap_bytes() - bytes) / 1_000)
    withExtendedLifetime(registry) {}
    let many = Registry(hasOwnMetrics: false).counter(
        "bench_many_total", help: "Bench.", labels: Data.labels,
        limit: SeriesLimit(count: 1_000_000))
    let routes = (0..<1_000_000).map { "/api/v1/resource\($0)/items" }
    start = threadTime()
    for route in routes { many.with("MGET", route, "200").increment() }
    line("register_counter_million", Double(threadTime() - start) / 1_000_000)
}

func recording(_ harness: Harness) {
    let registry = Registry()
    let counter = registry.counter("bench_total", help: "Bench.", labels: Data.labels)
        .with("MPUT", "/api/v1/resource7/items", "200")
    let gauge = registry.gauge("bench_level", help: "Bench.")
    let histogram = registry.histogram("bench_seconds", help: "Bench.", buckets: Data.buckets)
    let values = Data.values
    harness.operation("counter_inc") { for _ in 0..<$0 { counter.increment() } }
    harness.operation("float_counter_inc") { for _ in 0..<$0 { counter.increment(by: 0.5) } }
    harness.operation("gauge_set") { for index in 0..<$0 { gauge.set(Double(index)) } }
    harness.operation("histogram_observe") {
        for index in 0..<$0 { histogram.observe(values[index & 1023]) }
    }
    let native = registry.histogram("bench_native", help: "Bench.", buckets: .native())
    harness.operation("native_observe") {
        for index in 0..<$0 { native.observe(values[index & 1023]) }
    }
    let both = registry.histogram(
        "bench_both", help: "Bench.", buckets: Data.buckets.adding(native: NativeBuckets()))
    harness.operation("native_and_classic_observe") {
        for index in 0..<$0 { both.observe(values[index & 1023]) }
    }
    harness.operation("histogram_observe_exemplar") {
        for index in 0..<$0 { histogram.observe(values[index & 1023], exemplar: .trace("4bf9")) }
    }
    harness.pair("counter_inc") { for _ in 0..<$0 { counter.increment() } }
    harness.pair("gauge_set") { for index in 0..<$0 { gauge.set(Double(index)) } }
    harness.pair("histogram_observe") {
        for index in 0..<$0 { histogram.observe(values[index & 1023]) }
    }
    harness.pair("native_observe") {
        for index in 0..<$0 { native.observe(values[index & 1023]) }
    }
}

enum Level: String, LabelValue {
    case low, middle, high
}

func lookUps(_ harness: Harness) {
    let registry = Registry()
    Data.counters(in: registry, families: 1)
    Data.histograms(in: registry)
    let counters = registry.counter(
        "bench_requests_0_total", help: "Total requests.", labels: Data.labels)
    let histograms = registry.histogram(
        "bench_latency_seconds", help: "Latency.", labels: Data.labels, buckets: Data.buckets)
    let (sets, values) = (Data.labelSets, Data.values)
    let hot = sets[285]
    let count: @Sendable (Int) -> Void = {
        for _ in 0..<$0 { counters.with(hot.method, hot.route, hot.status).increment() }
    }
    let observe: @Sendable (Int) -> Void = {
        for index in 0..<$0 {
            histograms.with(hot.method, hot.route, hot.status).observe(values[index & 1023])
        }
    }
    let record: @Sendable (Int) -> Void = {
        for _ in 0..<$0 {
            counters.record(hot.method, hot.route, hot.status) { $0.increment() }
        }
    }
    harness.operation("counter_lookup", count)
    harness.operation("counter_lookup_record", record)
    harness.operation("counter_lookup_rotate") {
        for index in 0..<$0 {
            let set = sets[index % 1000]
            counters.with(set.method, set.route, set.status).increment()
        }
    }
    let typed = registry.counter(
        "bench_typed_total", help: "Bench.", labels: ["a", "b", "c"]
    ).typed(Level.self, Level.self, Level.self)
    let countTyped: @Sendable (Int) -> Void = {
        for index in 0..<$0 {
            typed.record(index & 1 == 0 ? .low : .high, .middle, .high) { $0.increment() }
        }
    }
    harness.operation("counter_lookup_typed", countTyped)
    let full = Registry(log: DiagnosticLog { _, _ in }).counter(
        "bench_full_total", help: "Bench.", labels: Data.labels, limit: SeriesLimit(count: 500))
    for set in sets { full.with(set.method, set.route, set.status).increment() }
    harness.operation("counter_lookup_overflow") {
        for index in 0..<$0 {
            let set = sets[500 + index % 500]
            full.with(set.method, set.route, set.status).increment()
        }
    }
    harness.operation("histogram_lookup", observe)
    harness.pair("counter_lookup", count)
    harness.pair("counter_lookup_record", record)
    harness.pair("counter_lookup_typed", countTyped)
    harness.pair("histogram_lookup", observe)
}

func scrapes(_ harness: Harness) {
    let counters = Registry(hasOwnMetrics: false)
    Data.counters(in: counters)
    let expiring = Registry(hasOwnMetrics: false)
    Data.counters(in: expiring, limit: SeriesLimit(idleTime: .seconds(86_400)))
    let histograms = Registry(hasOwnMetrics: false)
    Data.histograms(in: histograms)
    let gauges = Registry(hasOwnMetrics: false)
    Data.gauges(in: gauges, count: 10_000)
    for (op, registry) in [
        ("scrape_counters", counters), ("scrape_counters_expiring", expiring),
        ("scrape_histograms", histograms),
        ("scrape_gauges_17_digits", gauges),
    ] {
        var size = 0
        harness.each(op) { size = registry.respond().body.count }
        harness.report("\(op)_bytes", [Double(size)])
    }
    let openMetrics = "application/openmetrics-text;version=1.0.0"
    harness.each("scrape_counters_openmetrics") { _ = counters.respond(accept: openMetrics) }
    var compressed = 0
    harness.each("scrape_counters_gzip") {
        compressed = counters.respond(acceptEncoding: "gzip").body.count
    }
    harness.report("scrape_counters_gzip_bytes", [Double(compressed)])
}

func runLoop(_ op: String, _ count: Int) -> Bool {
    let registry = Registry()
    let counter = registry.counter("bench_total", help: "Bench.")
    let gauge = registry.gauge("bench_level", help: "Bench.")
    let histogram = registry.histogram("bench_seconds", help: "Bench.", buckets: Data.buckets)
    let counters = registry.counter("bench_hits_total", help: "Bench.", labels: Data.labels)
    switch op {
    case "counter_inc": for _ in 0..<count { counter.increment() }
    case "gauge_set": for index in 0..<count { gauge.set(Double(index)) }
    case "histogram_observe":
        for index in 0..<count { histogram.observe(Data.values[index & 1023]) }
    case "native_observe":
        let native = registry.histogram("bench_native", help: "Bench.", buckets: .native())
        for index in 0..<count { native.observe(Data.values[index & 1023]) }
    case "counter_lookup":
        for _ in 0..<count { counters.with("MPUT", "/api/v1/resource7/items", "200").increment() }
    case "counter_lookup_record":
        for _ in 0..<count {
            counters.record("MPUT", "/api/v1/resource7/items", "200") { $0.increment() }
        }
    case "counter_lookup_typed":
        let typed = registry.counter("bench_typed_total", help: "Bench.", labels: ["a", "b", "c"])
            .typed(Level.self, Level.self, Level.self)
        for index in 0..<count {
            typed.record(index & 1 == 0 ? .low : .high, .middle, .high) { $0.increment() }
        }
    case "request_floor": RequestBench.floor(count)
    case "request_token": RequestBench.resolved(HTTPRequestRecorder(registry: registry), count)
    case "request_token_template":
        RequestBench.byTemplate(HTTPRequestRecorder(registry: registry), count)
    case "swift_metrics_counter_make_inc": remakeCounters(count)
    case "scrape_counters":
        Data.counters(in: registry)
        for _ in 0..<count { _ = registry.respond() }
    case "collect_process", "collect_cgroup", "collect_jobs":
        registry.add(RuntimeBench.collector(op))
        for _ in 0..<count { _ = registry.respond() }
    default: return false
    }
    return true
}
