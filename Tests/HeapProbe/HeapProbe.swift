// SPDX-License-Identifier: Apache-2.0
// A test program with the malloc hooks linked in, which the test bundle does not have.
//
//     outrider-heap-probe serve    an agent with a heap profiler, driven by its input (Serve.swift)
//     outrider-heap-probe truth    estimates and the true allocations (Truth.swift)
//     outrider-heap-probe budget   decisions on the interval, from readings in its input
//     outrider-heap-probe state    whether the hooks sample, and the allocator
//     outrider-heap-probe record   measurements between two lines, for tracing system calls
//     outrider-heap-probe render   the memory that rendering a profile takes (Rendering.swift)

import Outrider
import OutriderHeap

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

@main
struct HeapProbe {
    static func main() {
        switch Array(CommandLine.arguments.dropFirst()) {
        case ["serve"]: Serve.run()
        case ["truth"]: Truth.run()
        case ["budget"]: budget()
        case ["state"]: state()
        case ["record"]: record()
        case let words where words.first == "render": Rendering.run(Array(words.dropFirst()))
        default:
            print("usage: outrider-heap-probe serve | truth | budget | state | record | render")
        }
    }

    private static func state() {
        let profiler = HeapProfiler()
        profiler.start { _, message in print(message) }
        print(profiler.isSampling ? "sampling" : "not sampling", profiler.allocator)
    }

    private static func record() {
        let registry = Registry()
        let counter = registry.counter("recorded_total", help: "Recorded.")
        let gauge = registry.gauge("level", help: "A level.")
        let histogram = registry.histogram("observed", help: "Observed.", buckets: [0.1, 1, 10])
        let family = registry.counter("by_kind_total", help: "By kind.", labels: ["kind"])
        for (times, line) in [(200_000, "recording"), (200_000, "recorded")] {
            for number in 0..<times {
                counter.increment()
                gauge.set(Double(number))
                histogram.observe(Double(number % 20))
                family.with(number % 2 == 0 ? "even" : "odd").increment()
            }
            print(line)
            fflush(nil)
        }
    }

    /// Reads `NANOSECONDS_TAKEN INTERVAL SECONDS` and prints the new interval and the log message.
    private static func budget() {
        var budget = OverheadBudget(share: 0.01, interval: 524_288)
        while let line = readLine() {
            let numbers = line.split(separator: " ").compactMap { Double($0) }
            guard numbers.count == 3 else { return }
            let change = budget.evaluate(
                samplerNanoseconds: UInt64(numbers[0]), interval: UInt64(numbers[1]),
                at: UInt64(numbers[2] * 1e9))
            print(change?.interval ?? 0, change?.description ?? "-")
            fflush(nil)
        }
    }
}
