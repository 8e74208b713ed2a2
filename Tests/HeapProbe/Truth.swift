// SPDX-License-Identifier: Apache-2.0
// `truth`: compares known allocations of known functions with the profile's estimates.
//
// Prints a line for each seed and site, `SEED SITE KIND TRUE ESTIMATED SAMPLES`: the allocated
// bytes, the bytes in the profile, and the expected number of samples.

import OutriderHeap
import OutriderProfile

enum Truth {
    private static let interval = 65_536
    private static let seeds = 50

    static func run() {
        var configuration = HeapProfiler.Configuration(interval: interval)
        // This measures a single interval.
        configuration.budget = 0
        let profiler = HeapProfiler(configuration)
        profiler.start { _, message in print(message) }
        for seed in 1...seeds {
            // Reserves room for the addresses first, so that the arrays belong to no site.
            var small = unsafe [UnsafeMutableRawPointer]()
            unsafe small.reserveCapacity(SmallBlocks.count)
            var large = unsafe [UnsafeMutableRawPointer]()
            unsafe large.reserveCapacity(LargeBlocks.count)
            guard let before = try? profiler.snapshot(of: profiler.kinds[0]) else { return }
            // Right before the sites, whose allocations and therefore samples are then the same in
            // each run.
            HeapProfiler.seed(UInt64(seed) &* 7_919)
            unsafe SmallBlocks.hold(&small)
            unsafe LargeBlocks.hold(&large)
            Churn.run()
            guard let after = try? profiler.snapshot(of: profiler.kinds[0]) else { return }
            let change = after.subtracting(before)
            report(seed, "small", "live", SmallBlocks.bytes, change, "SmallBlocks", value: 3)
            report(seed, "large", "live", LargeBlocks.bytes, change, "LargeBlocks", value: 3)
            report(seed, "churn", "allocated", Churn.bytes, change, "Churn", value: 1)
            unsafe release(small)
            unsafe release(large)
        }
    }

    private static func report(
        _ seed: Int, _ site: String, _ kind: String, _ bytes: Int, _ change: Profile,
        _ function: String, value: Int
    ) {
        let symbols = Symbolizer.shared.symbols(of: Set(change.samples.flatMap(\.stack)))
        let estimate = change.samples.reduce(Int64(0)) { sum, sample in
            let isHere = sample.stack.contains { symbols.label($0).contains(function) }
            return isHere ? sum + sample.values[value] : sum
        }
        print(seed, site, kind, bytes, estimate, Double(bytes) / Double(interval))
    }

    @inline(never)
    static func release(_ blocks: [UnsafeMutableRawPointer]) {
        for index in unsafe blocks.indices { unsafe blocks[index].deallocate() }
    }
}

/// Many blocks that are much smaller than the interval.
enum SmallBlocks {
    static let count = 400_000
    static let bytes = count * 56

    @inline(never)
    static func hold(_ blocks: inout [UnsafeMutableRawPointer]) {
        for _ in 0..<count { unsafe blocks.append(.allocate(byteCount: 56, alignment: 8)) }
    }
}

/// Blocks around a tenth of the interval.
enum LargeBlocks {
    static let count = 4_000
    static let bytes = count * 6_000

    @inline(never)
    static func hold(_ blocks: inout [UnsafeMutableRawPointer]) {
        for _ in 0..<count { unsafe blocks.append(.allocate(byteCount: 6_000, alignment: 8)) }
    }
}

/// Blocks that are freed at once.
enum Churn {
    static let bytes = 40_000 * 1_032

    @inline(never)
    static func run() {
        for _ in 0..<40_000 {
            let block = UnsafeMutableRawPointer.allocate(byteCount: 1_032, alignment: 8)
            unsafe block.storeBytes(of: 1, as: UInt8.self)
            unsafe block.deallocate()
        }
    }
}
