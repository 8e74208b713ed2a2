// SPDX-License-Identifier: Apache-2.0
// Times operations.
//
// One thread: the CPU time of the thread, pinned to the first CPU, over short bursts; the minimum
// and the median are reported. A short loop of additions before and after each burst detects
// whether work invisible to this machine shares the core; such bursts are dropped if enough others
// remain. Two threads: bursts that start together at a spinning barrier, in wall time from the
// first start to the last end; bursts whose threads started apart or lost their CPU are dropped.

import CBench
import Glibc
import Synchronization

func nanoseconds(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

func threadTime() -> UInt64 { nanoseconds(CLOCK_THREAD_CPUTIME_ID) }

/// Pins the calling thread to the n-th CPU that the process may use; returns whether there is one.
@discardableResult
func pin(to index: Int) -> Bool { bench_pin(Int32(index)) == 1 }

/// Times operations and prints a line for each.
final class Harness {
    private let isQuick: Bool
    private let runs: Int
    private let pairBursts: Int
    private let burst: UInt64
    private var bestProbe = UInt64.max
    private static let slowProbe = 1.2

    init(isQuick: Bool) {
        self.isQuick = isQuick
        runs = isQuick ? 11 : 31
        pairBursts = isQuick ? 61 : 201
        burst = isQuick ? 1_000_000 : 2_000_000
        pin(to: 0)
        for _ in 0..<200 { bestProbe = min(bestProbe, probe()) }
    }

    /// The time of a fixed number of additions.
    private func probe() -> UInt64 {
        var sums: (UInt64, UInt64, UInt64, UInt64) = (1, 2, 3, 4)
        let start = threadTime()
        for number in 0..<15_000 as Range<UInt64> {
            sums.0 &+= number ^ sums.3
            sums.1 &+= number
            sums.2 &+= number | sums.1
            sums.3 &+= 3
        }
        let time = threadTime() - start
        if sums.0 == 42 { print("") }
        return time
    }

    func report(_ op: String, threads: Int = 1, _ values: [Double]) {
        let sorted = values.sorted()
        let line = [sorted[0], sorted[sorted.count / 2]].map { value in
            let hundredths = Int((value * 100).rounded())
            let fraction = String(hundredths % 100)
            return "\(hundredths / 100).\(fraction.count == 1 ? "0" : "")\(fraction)"
        }
        print("outrider\t\(op)\t\(threads)\t\(line[0])\t\(line[1])")
        fflush(nil)
    }

    /// Runs `body` several times and reports the CPU time of each run, divided by `count`.
    ///
    /// - Parameter clock: The clock of the calling thread, or of the whole process if other threads
    ///   do part of the work.
    func each(
        _ op: String, count: Int = 1, clock: clockid_t = CLOCK_THREAD_CPUTIME_ID, _ body: () -> Void
    ) {
        var times: [(value: Double, probe: UInt64)] = []
        for _ in 0..<runs {
            let before = probe()
            let start = nanoseconds(clock)
            body()
            let time = nanoseconds(clock) - start
            times.append((Double(time) / Double(count), max(before, probe())))
        }
        bestProbe = min(bestProbe, times.map(\.probe).min() ?? bestProbe)
        let good = times.filter { Double($0.probe) <= Self.slowProbe * Double(bestProbe) }
        report(op, (good.count >= 3 ? good : times).map(\.value))
    }

    /// Reports the time of one operation; `body` performs the given number of operations.
    func operation(_ op: String, _ body: (Int) -> Void) {
        let count = burstSize(body)
        each(op, count: count) { body(count) }
    }

    /// Reports the time of one operation on each of two threads that run it at once.
    func pair(_ op: String, _ body: @escaping @Sendable (Int) -> Void) {
        let count = burstSize(body) / 4 + 1
        let bursts = pairBursts
        let barrier = Barrier()
        let parts = Parts(bursts: bursts)
        let threads = (0..<2).map { thread in
            spawn {
                pin(to: thread)
                for burst in 0..<bursts {
                    barrier.wait(for: 2 * (burst + 1))
                    let (wall, cpu) = (nanoseconds(CLOCK_MONOTONIC), threadTime())
                    body(count)
                    parts.set(
                        burst, thread,
                        Part(
                            start: wall, cpu: threadTime() - cpu,
                            end: nanoseconds(CLOCK_MONOTONIC)))
                }
            }
        }
        for thread in threads { pthread_join(thread, nil) }
        let all = parts.pairs
        let kept = all.filter { $0.startedTogether && $0.keptTheirCPUs }
        let together = all.filter(\.startedTogether)
        let chosen = kept.count >= 8 ? kept : together.isEmpty ? all : together
        report(op, threads: 2, chosen.map { $0.wall / Double(count) })
    }

    private func burstSize(_ body: (Int) -> Void) -> Int {
        var count = 64
        while true {
            let start = threadTime()
            body(count)
            let time = threadTime() - start
            if time >= burst / 8 {
                return max(1, Int(Double(count) * Double(burst) / Double(time)))
            }
            count *= 4
        }
    }
}

private struct Part {
    var start: UInt64 = 0
    var cpu: UInt64 = 0
    var end: UInt64 = 0
    var keptItsCPU: Bool { Double(cpu) >= 0.93 * Double(end - start) }
}

private struct Pair {
    let first: Part
    let second: Part
    var wall: Double { Double(max(first.end, second.end) - min(first.start, second.start)) }
    var startedTogether: Bool { abs(Double(first.start) - Double(second.start)) <= 0.07 * wall }
    var keptTheirCPUs: Bool { first.keptItsCPU && second.keptItsCPU }
}

/// Results of two threads; each writes only its own slots, and is joined before they are read.
private final class Parts: @unchecked Sendable {
    private let parts: UnsafeMutablePointer<Part>
    private let bursts: Int

    init(bursts: Int) {
        self.bursts = bursts
        parts = .allocate(capacity: bursts * 2)
        parts.initialize(repeating: Part(), count: bursts * 2)
    }

    deinit { parts.deallocate() }

    func set(_ burst: Int, _ thread: Int, _ part: Part) { parts[burst * 2 + thread] = part }

    var pairs: [Pair] {
        (0..<bursts).map { Pair(first: parts[$0 * 2], second: parts[$0 * 2 + 1]) }
    }
}

private final class Barrier: Sendable {
    private let arrived = Atomic<Int>(0)

    func wait(for count: Int) {
        arrived.wrappingAdd(1, ordering: .acquiringAndReleasing)
        while arrived.load(ordering: .acquiring) < count {}
    }
}

func spawn(_ body: @escaping @Sendable () -> Void) -> pthread_t {
    final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    pthread_create(
        &thread, nil,
        { argument in
            guard let argument else { return nil }
            Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body()
            return nil
        }, Unmanaged.passRetained(Work(body)).toOpaque())
    return thread
}
