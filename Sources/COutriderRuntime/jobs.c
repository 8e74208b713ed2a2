/* SPDX-License-Identifier: Apache-2.0
 * Counts the jobs that are enqueued on the global executor.
 *
 * Each thread uses one of 64 counters, each on its own cache line, so that concurrent threads do
 * not contend.
 */
#include <stdatomic.h>

#include "outrider_runtime.h"
#include "swift_abi.h"

#define SHARDS 64

static struct {
    _Alignas(64) atomic_uint_fast64_t count;
} shards[SHARDS];
static atomic_uint threads;
static atomic_bool is_counting;
/* 0: not installed; 1: being installed; 2: installed. */
static atomic_int hook_state;
static _Atomic(swift_enqueue_hook) next;

static unsigned own_shard(void) {
    static __thread unsigned shard; /* 0: none yet */
    if (shard == 0) shard = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % SHARDS + 1;
    return shard - 1;
}

static SWIFT_CALL void count_job(void *job, swift_enqueue original) {
    /* Relaxed: the sum publishes nothing else. */
    if (atomic_load_explicit(&is_counting, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&shards[own_shard()].count, 1, memory_order_relaxed);
    }
    swift_enqueue_hook before = atomic_load_explicit(&next, memory_order_acquire);
    if (before) {
        before(job, original);
    } else {
        original(job);
    }
}

outrider_hook_result outrider_jobs_start(void) {
    if (!&swift_task_enqueueGlobal_hook) return OUTRIDER_HOOK_ABSENT;
    int expected = 0;
    if (atomic_compare_exchange_strong(&hook_state, &expected, 1)) {
        swift_enqueue_hook *hook = &swift_task_enqueueGlobal_hook;
        atomic_store_explicit(
            &next, __atomic_load_n(hook, __ATOMIC_ACQUIRE), memory_order_release);
        __atomic_store_n(hook, count_job, __ATOMIC_RELEASE);
        atomic_store(&hook_state, 2);
    }
    atomic_store_explicit(&is_counting, 1, memory_order_relaxed);
    return OUTRIDER_HOOK_ON;
}

void outrider_jobs_stop(void) { atomic_store_explicit(&is_counting, 0, memory_order_relaxed); }

uint64_t outrider_jobs_enqueued(void) {
    uint64_t sum = 0;
    for (int shard = 0; shard < SHARDS; shard++) {
        sum += atomic_load_explicit(&shards[shard].count, memory_order_relaxed);
    }
    return sum;
}
