// SPDX-License-Identifier: Apache-2.0
// The cost of the instruments of pools, caches, queues, limits and locks, without the instrumented
// code.

import OutriderInstruments
import OutriderMetrics
import Synchronization

func instruments(_ harness: Harness) {
    let registry = Registry()
    let cache = CacheMetrics("bench", registry: registry)
    harness.operation("cache_hit") { for _ in 0..<$0 { cache.hit() } }
    let limiter = RateLimiterMetrics("bench", registry: registry)
    harness.operation("limiter_allowed") { for _ in 0..<$0 { limiter.allowed() } }
    let fanout = FanoutMetrics("bench", registry: registry)
    harness.operation("fanout_delivered") { for _ in 0..<$0 { fanout.delivered() } }
    let breaker = CircuitBreakerMetrics("bench", registry: registry)
    harness.operation("breaker_succeeded") { for _ in 0..<$0 { breaker.succeeded() } }
    let objects = ObjectPoolMetrics("bench", registry: registry)
    harness.operation("object_pool_get") {
        for index in 0..<$0 { _ = objects.get({ index & 1 == 0 ? index : nil }, orMake: { 0 }) }
    }
    let pool = PoolMetrics("bench", registry: registry)
    harness.operation("pool_note_use") { for _ in 0..<$0 { pool.recordUse(.milliseconds(3)) } }
    let queue = WorkQueueMetrics("bench", registry: registry)
    harness.operation("work_queue_cycle") { for _ in 0..<$0 { queue.enqueued().run {} } }
    let mutex = Mutex(0)
    harness.operation("lock_floor") { for _ in 0..<$0 { mutex.withLock { $0 &+= 1 } } }
    let lock = InstrumentedLock("bench", 0, registry: registry)
    harness.operation("lock_uncontended") { for _ in 0..<$0 { lock.withLock { $0 &+= 1 } } }
}
