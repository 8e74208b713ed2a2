// SPDX-License-Identifier: Apache-2.0
// A program with the malloc hooks linked in, for tests: the test bundle itself has none.
//
//     outrider-heap-probe serve    an agent with a heap profiler, which does what it reads (Serve.swift)
//     outrider-heap-probe truth    estimates beside what was really allocated (Truth.swift)
//     outrider-heap-probe budget   decisions about the interval, of figures that it reads
//     outrider-heap-probe state    whether the hooks sample, and the allocator behind

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
        default: print("usage: outrider-heap-probe serve | truth | budget | state")
        }
    }

    private static func state() {
        let profiler = HeapProfiler()
        profiler.start { _, message in print(message) }
        print(profiler.isSampling ? "sampling" : "not sampling", profiler.allocator)
    }

    /// Reads `NANOSECONDS_TAKEN INTERVAL SECONDS` and answers with an interval and what is said.
    private static func budget() {
        var budget = OverheadBudget(share: 0.01, interval: 524_288)
        while let line = readLine() {
            let numbers = line.split(separator: " ").compactMap { Double($0) }
            guard numbers.count == 3 else { return }
            let change = budget.look(
                samplerNanoseconds: UInt64(numbers[0]), interval: UInt64(numbers[1]),
                at: UInt64(numbers[2] * 1e9))
            print(change?.interval ?? 0, change?.description ?? "-")
            fflush(nil)
        }
    }
}
