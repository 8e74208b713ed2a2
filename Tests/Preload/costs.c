/* SPDX-License-Identifier: Apache-2.0
 * Compares the sampler's own estimate of its cost with the actual cost: the thread's CPU time of
 * the same calls with and without sampling, the shortest of several rounds each. On a stack of
 * functions, on one with contexts of async functions, and in threads that end after a few samples.
 */
#define _GNU_SOURCE
#include "expect.h"
#include "frame.h"

#include "outrider_heap.h"
#include "outrider_stack.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

enum { CALLS = 20000, ROUNDS = 7, DEPTH = 60, CONTEXTS = 60, SHORT_THREADS = 200, SHORT_CALLS = 5, OFF_BY = 4 };

static double cpu_ns(void) {
    struct timespec now;
    EXPECT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double said_ns(uint64_t *samples) {
    outrider_heap_counters counters;
    outrider_heap_read_counters(&counters);
    *samples = counters.samples;
    return (double)counters.sampler_ns;
}

static void allocate(int calls) {
    for (int i = 0; i < calls; i++) free(kept(malloc(100)));
}

__attribute__((noinline)) static double time_below(int depth, void (*work)(int)) {
    if (depth > 0) {
        double taken = time_below(depth - 1, work);
        __asm__ volatile("");
        return taken;
    }
    double start = cpu_ns();
    work(CALLS);
    return cpu_ns() - start;
}

static void compare(const char *what, int depth, void (*work)(int)) {
    double off = 1e18, on = 1e18, said = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t before, after;
        outrider_heap_stop();
        outrider_heap_seed(1);
        double plain = time_below(depth, work);
        off = plain < off ? plain : off;
        EXPECT(outrider_heap_start(1) == OUTRIDER_HEAP_SAMPLING);
        outrider_heap_seed(1);
        double start = said_ns(&before);
        double sampled = time_below(depth, work);
        said = said_ns(&after) - start;
        on = sampled < on ? sampled : on;
        EXPECT(after - before == CALLS);
    }
    double true_ns = (on - off) / CALLS;
    said /= CALLS;
    fprintf(stderr, "%s: a sample takes %.0f ns, estimated %.0f ns\n", what, true_ns, said);
    EXPECT(said < OFF_BY * true_ns && true_ns < OFF_BY * said);
}

/* --- async functions -------------------------------------------------------------------------------- */

#if defined(__x86_64__)
/* A context holds its parent's address and the parent's resume function (Swift ABI). */
static struct {
    uintptr_t parent, resume_parent;
} contexts[CONTEXTS];

static void allocate_in_async_function(int calls) {
    for (size_t i = 0; i < CONTEXTS; i++) {
        contexts[i].parent = i + 1 < CONTEXTS ? (uintptr_t)&contexts[i + 1] : 0;
        contexts[i].resume_parent = (uintptr_t)&allocate + i;
    }
    /* The context, the caller's frame with the mark of an async one, and the return address. */
    volatile uintptr_t frame[3] = {(uintptr_t)contexts, (uintptr_t)1 << 60, (uintptr_t)&allocate};
    for (int i = 0; i < calls; i++) free(kept(malloc_with_frame(100, (uintptr_t)&frame[1])));
}
#endif

/* --- short threads ------------------------------------------------------------------------------------ */

static void *live_shortly(void *unused) { return allocate(SHORT_CALLS), unused; }

/* Their first samples cost no more than any other: nothing is read for them. */
static void compare_short_threads(void) {
    uint64_t first, second, third;
    double start = said_ns(&first);
    allocate(CALLS);
    double between = said_ns(&second);
    for (int i = 0; i < SHORT_THREADS; i++) {
        pthread_t thread;
        EXPECT(pthread_create(&thread, NULL, live_shortly, NULL) == 0 && pthread_join(thread, NULL) == 0);
    }
    double end = said_ns(&third);
    double usual = (between - start) / (double)(second - first), shortly = (end - between) / (double)(third - second);
    fprintf(stderr, "in short threads: %.0f ns estimated for a sample, otherwise %.0f ns\n", shortly, usual);
    EXPECT(third - second >= SHORT_THREADS * SHORT_CALLS && shortly < OFF_BY * usual);
}

int main(void) {
    outrider_stack_prepare_tables();
    EXPECT(outrider_heap_start(1) == OUTRIDER_HEAP_SAMPLING);
    compare("below few functions", 2, allocate);
    compare("below many functions", DEPTH, allocate);
#if defined(__x86_64__)
    compare("in an async function", 2, allocate_in_async_function);
#endif
    compare_short_threads();
    puts("the sampler says what it takes");
}
