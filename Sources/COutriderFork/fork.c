// SPDX-License-Identifier: Apache-2.0
// Threads count themselves in and out on one of a few stripes, so that they share no cache line.

#define _GNU_SOURCE
#include "outrider_fork.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define STRIPES 16
/// How long a thread sleeps between two checks, and how long it waits in all. The whole wait is measured by the clock,
/// since each sleep takes longer than asked for.
#define STEP_NANOSECONDS 50000
#define LONGEST_NANOSECONDS 50000000

static struct {
    alignas(128) atomic_long inside;
} stripes[STRIPES];

static atomic_bool forking;
static atomic_uint threads;

static _Thread_local unsigned depth;
/// The thread's stripe and one; 0 before it has one.
static _Thread_local unsigned own;

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void rest(void) {
    struct timespec step = {.tv_nsec = STEP_NANOSECONDS};
    nanosleep(&step, NULL);
}

void outrider_fork_hold(void) {
    if (depth++ > 0) return;
    if (own == 0) own = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % STRIPES + 1;
    atomic_long *inside = &stripes[own - 1].inside;
    int64_t limit = 0;
    for (;;) {
        // Either this thread sees that somebody forks, or who forks sees this thread.
        atomic_fetch_add(inside, 1);
        if (!atomic_load(&forking)) return;
        if (limit == 0) limit = now() + LONGEST_NANOSECONDS;
        if (now() >= limit) return;
        atomic_fetch_sub(inside, 1);
        rest();
    }
}

void outrider_fork_allow(void) {
    if (--depth > 0) return;
    atomic_fetch_sub_explicit(&stripes[own - 1].inside, 1, memory_order_release);
}

static bool is_quiet(void) {
    long inside = 0;
    for (int index = 0; index < STRIPES; index++) inside += atomic_load(&stripes[index].inside);
    // Who forks under a lock of its own does not wait for itself.
    return inside <= (depth > 0);
}

static void before_fork(void) {
    atomic_store(&forking, true);
    int64_t limit = now() + LONGEST_NANOSECONDS;
    while (!is_quiet() && now() < limit) rest();
}

static void after_fork(void) { atomic_store(&forking, false); }

static void in_child(void) {
    for (int index = 0; index < STRIPES; index++) {
        atomic_store(&stripes[index].inside, depth > 0 && own == (unsigned)index + 1);
    }
    after_fork();
}

__attribute__((constructor)) static void watch_forks(void) {
    pthread_atfork(before_fork, after_fork, in_child);
}
