// SPDX-License-Identifier: Apache-2.0
// Tests that switch the runtime's hooks while tasks are enqueued: nothing crashes, and counts are
// exact while they are on.
//
// They run in separate processes, since the hooks see the whole process.

import CTestSupport
import OutriderMetrics
import OutriderRuntime
import OutriderTesting
import Synchronization
import TestSupport
import Testing

/// An object with 16 bytes of header and 112 bytes of fields.
private final class Parcel {
    var contents: InlineArray<14, UInt64> = .init(repeating: 0)
}

/// Runs `count` detached tasks to completion, a hundred at a time.
private func runTasks(_ count: Int) async {
    for _ in 0..<count / 100 {
        let tasks = (0..<100).map { _ in Task.detached { await Task.yield() } }
        for task in tasks { await task.value }
    }
}

/// Runs `load` in four tasks while a thread calls `toggle` repeatedly.
private func run(
    while toggle: @escaping @Sendable () -> Void, _ load: @escaping @Sendable () async -> Void
) async throws {
    let isOver = Atomic<Bool>(false)
    async let toggler: Void = onOwnThread {
        while !isOver.load(ordering: .relaxed) { toggle() }
    }
    await withTaskGroup { group in
        for _ in 0..<4 { group.addTask { await load() } }
    }
    isOver.store(true, ordering: .relaxed)
    try await toggler
}

@Suite struct HookConcurrencyTests {
    @Test func `jobs are counted exactly while counting is on, and not at all while it is off`()
        async
    {
        await #expect(processExitsWith: .success) {
            try #require(test_count_jobs() == 1)
            let collector = JobCollector()
            for _ in 0..<10 {
                try #require(collector.start())
                let before = JobCollector.enqueued - Int(test_jobs())
                await runTasks(1_000)
                // The other hook is called after this one, perhaps a moment later.
                try #require(
                    eventually { JobCollector.enqueued - Int(test_jobs()) == before })
                collector.stop()
                let off = (JobCollector.enqueued, test_jobs())
                await runTasks(1_000)
                try #require(JobCollector.enqueued == off.0)
                try #require(test_jobs() >= off.1 + 1_000)
            }
        }
    }

    @Test func `job counting may be switched while jobs are enqueued`() async {
        await #expect(processExitsWith: .success) {
            try #require(test_count_jobs() == 1)
            let collector = JobCollector()
            let toggle: @Sendable () -> Void = {
                collector.start()
                collector.stop()
            }
            try await run(while: toggle) { await runTasks(2_000) }
            try #require(eventually { JobCollector.enqueued <= Int(test_jobs()) })
            collector.start()
            let before = JobCollector.enqueued - Int(test_jobs())
            await runTasks(2_000)
            try #require(
                eventually { JobCollector.enqueued - Int(test_jobs()) == before })
        }
    }

    @Test func `live tasks add up, however often counting is switched`() async {
        await #expect(processExitsWith: .success) {
            let collector = TaskCollector()
            // Unsupported with another runtime, or with a statically linked one.
            guard collector.start() == nil else { return }
            let start = TaskCollector.counts
            let toggle: @Sendable () -> Void = {
                collector.stop()
                _ = collector.start()
            }
            try await run(while: toggle) { await runTasks(2_000) }
            try #require(eventually { TaskCollector.counts.live == start.live })
            try #require(collector.start() == nil)

            let before = TaskCollector.counts
            var sleepers = (0..<5_000).map { _ in
                Task.detached { _ = try? await Task.sleep(for: .seconds(600)) }
            }
            let during = TaskCollector.counts
            try #require(during.created - before.created == 5_000)
            try #require(during.live - before.live == 5_000)
            // Tasks are tracked to their end, even while new ones are not.
            collector.stop()
            for sleeper in sleepers { sleeper.cancel() }
            for sleeper in sleepers { await sleeper.value }
            sleepers = []
            try #require(eventually { TaskCollector.counts.live == before.live })
        }
    }

    @Test func `objects are sampled by type, however often sampling is switched`() async {
        await #expect(processExitsWith: .success) {
            let collector = ObjectTypeCollector()
            guard collector.start(interval: 64 << 10) == nil else { return }
            let toggle: @Sendable () -> Void = {
                collector.stop()
                _ = collector.start(interval: 64 << 10)
            }
            try await run(while: toggle) {
                for _ in 0..<20_000 { withExtendedLifetime(Parcel()) {} }
            }
            try #require(collector.start(interval: 64 << 10) == nil)
            let registry = Registry(hasOwnMetrics: false)
            try registry.register(collector)
            func parcelBytes() throws -> Double {
                var bytes = 0.0
                for family in try registry.exposition().families {
                    for sample in family.samples
                    where sample.name == "swift_allocated_bytes_total"
                        && sample.labels["type", default: ""].hasSuffix("Parcel")
                    {
                        bytes += sample.value
                    }
                }
                return bytes
            }
            let before = try parcelBytes()
            for _ in 0..<500_000 { withExtendedLifetime(Parcel()) {} }
            let estimate = try parcelBytes() - before
            // About 976 samples, at intervals between half and one and a half times the mean.
            try #require(abs(estimate / (500_000 * 128) - 1) < 0.1)
        }
    }
}
