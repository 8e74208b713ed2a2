// SPDX-License-Identifier: Apache-2.0
// A lock keeps its word, and only who has to wait is counted.

import Glibc
import OutriderInstruments
import OutriderMetrics
import OutriderTesting
import Synchronization
import TestSupport
import Testing

@Suite struct LockConcurrencyTests {
    private let registry = Registry(reportsItself: false, log: DiagnosticLog { _, _ in })

    private final class Shared: Sendable {
        let lock: InstrumentedLock<Int>
        let isHeld = Atomic<Bool>(false)
        let isComing = Atomic<Bool>(false)
        init(_ registry: Registry) { lock = InstrumentedLock("stock", 0, registry: registry) }
    }

    @Test func `nothing is lost between those who take turns`() async {
        let shared = Shared(registry)
        await withTaskGroup { group in
            for _ in 0..<4 {
                group.addTask { for _ in 0..<10_000 { shared.lock.withLock { $0 += 1 } } }
            }
        }
        #expect(shared.lock.withLock { $0 } == 40_000)
    }

    @Test func `who finds it open is not counted`() throws {
        let shared = Shared(registry)
        for _ in 0..<100 { shared.lock.withLock { $0 += 1 } }
        try registry.expect("lock_contentions_total", ["lock": "stock"], 0)
        try registry.expect("lock_wait_seconds_total", ["lock": "stock"], 0)
    }

    /// One who holds the lock until another one comes for it, and a moment longer.
    private func meet(_ shared: Shared) async throws {
        shared.isHeld.store(false, ordering: .releasing)
        shared.isComing.store(false, ordering: .releasing)
        async let holder: Void = onOwnThread {
            shared.lock.withLock { _ in
                shared.isHeld.store(true, ordering: .releasing)
                while !shared.isComing.load(ordering: .acquiring) { sched_yield() }
                for _ in 0..<1_000 { sched_yield() }
            }
        }
        async let waiter: Void = onOwnThread {
            while !shared.isHeld.load(ordering: .acquiring) { sched_yield() }
            shared.isComing.store(true, ordering: .releasing)
            shared.lock.withLock { $0 += 1 }
        }
        _ = try await (holder, waiter)
    }

    @Test func `who waits is counted, and for how long`() async throws {
        let shared = Shared(registry)
        func contentions() -> Double {
            registry.value("lock_contentions_total", ["lock": "stock"]) ?? -1
        }
        var rounds = 0
        while contentions() == 0, rounds < 1_000 {
            try await meet(shared)
            rounds += 1
        }
        #expect(contentions() == 1)
        #expect(shared.lock.withLock { $0 } == rounds)
        let seconds = try #require(registry.value("lock_wait_seconds_total", ["lock": "stock"]))
        #expect(seconds > 0 && seconds < 30)
    }

    @Test func `an error comes through, and the lock is open again`() throws {
        struct Failed: Error {}
        let shared = Shared(registry)
        #expect(throws: Failed.self) {
            try shared.lock.withLock { _ throws(Failed) in throw Failed() }
        }
        #expect(shared.lock.withLock { $0 } == 0)
    }
}
