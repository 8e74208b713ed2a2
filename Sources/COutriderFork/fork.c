// SPDX-License-Identifier: Apache-2.0
// Delays fork(2) while a thread holds one of our locks.
//
// Threads count themselves in and out on one of a few stripes, to avoid sharing cache lines.

#define _GNU_SOURCE
#include "outrider_fork.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define STRIPES 16
/// How long a thread sleeps between two checks, and how long it waits in all. The total is measured
/// by the clock, because each sleep takes longer than requested.
#define STEP_NANOSECONDS 50000
#define LONGEST_NANOSECONDS 50000000

static struct {
    alignas(128) atomic_long inside;
} stripes[STRIPES];

static atomic_bool forking;
static atomic_uint threads;

static _Thread_local unsigned depth;
/// The index of the thread's stripe plus one; 0 before it has a stripe.
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
        // Either this thread sees the fork, or the forking thread sees this one.
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
    // A thread that forks while it holds a lock does not wait for itself.
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
