/* SPDX-License-Identifier: Apache-2.0
 * The cost of a sample, measured once with the real tables and the real walk.
 */
#define _GNU_SOURCE
#include "cost.h"

#if OUTRIDER_HEAP_HOOKED
#include "blocks.h"
#include "sampler.h"
#include "sites.h"

#include <time.h>

/* Rounds of the measurement, and the depth of its stack. */
enum { ROUNDS = 32, FRAMES = 32 };
/* Real samples have cold caches: half as much again as the best round. */
#define AS_USUAL(best) ((best) + (best) / 2 + 1)

static uint64_t sample_ns, frame_ns, context_ns;

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t shorter(uint64_t best, uint64_t start, uint64_t end) {
    return end - start < best ? end - start : best;
}

/* Measures the cost of sampling a dummy block, below `more` additional frames. */
static __attribute__((noinline)) void measure_below(int more) {
    if (more > 0) {
        measure_below(more - 1);
        /* Prevents a tail call. */
        __asm__ volatile("");
        return;
    }
    uint64_t clock_ns = UINT64_MAX, walk_ns = UINT64_MAX, rest_ns = UINT64_MAX, read_ns = UINT64_MAX;
    size_t frames = 1;
    sampled_block sample = {1, 0, 0}, other;
    outrider_stack_point caller = CALLER_POINT();
    outrider_stack_bounds own = outrider_stack_find_bounds(caller.sp);
    for (int round = 0; round < ROUNDS; round++) {
        uintptr_t pcs[OUTRIDER_STACK_DEPTH];
        outrider_stack_end end;
        uint64_t before = now_ns(), start = now_ns();
        frames = outrider_stack_walk(caller, own, pcs, OUTRIDER_STACK_DEPTH, &end);
        uint64_t walked = now_ns();
        sample.site = outrider_heap_sites_find(pcs, (uint32_t)frames, false);
        if (outrider_heap_blocks_insert(&sample, sample, &other) == BLOCKS_DONE)
            outrider_heap_blocks_take(&sample, &other);
        uint64_t done = now_ns();
        /* The same as reading an async context. */
        outrider_stack_read_memory((uintptr_t)&sample, pcs, 2 * sizeof *pcs);
        uint64_t read = now_ns();
        clock_ns = shorter(clock_ns, before, start);
        walk_ns = shorter(walk_ns, start, walked);
        rest_ns = shorter(rest_ns, walked, done);
        read_ns = shorter(read_ns, done, read);
    }
    walk_ns -= walk_ns < clock_ns ? walk_ns : clock_ns;
    rest_ns -= rest_ns < clock_ns ? rest_ns : clock_ns;
    read_ns -= read_ns < clock_ns ? read_ns : clock_ns;
    frame_ns = AS_USUAL(walk_ns / frames);
    context_ns = AS_USUAL(read_ns);
    sample_ns = AS_USUAL(rest_ns);
}

void outrider_heap_measure_cost(void) { measure_below(FRAMES); }

uint64_t outrider_heap_cost_of(size_t frames, size_t contexts) {
    return sample_ns + frames * frame_ns + contexts * context_ns;
}
#endif
