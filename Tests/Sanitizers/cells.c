// SPDX-License-Identifier: Apache-2.0
// Per-CPU rows updated by many threads on all CPUs, and forks while locks are held.

#define _GNU_SOURCE
#include "outrider_cells.h"
#include "outrider_fork.h"

#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8, TURNS = 200000 };

/// Adds to the shared row if the CPU cannot add to its own, as the library does.
static void add(uint64_t place, uint64_t amount) {
    if (outrider_rows_add(place, amount)) return;
    __atomic_fetch_add(outrider_rows_shared(place), amount, __ATOMIC_RELAXED);
}

static void add_double(uint64_t place, double amount) {
    if (outrider_rows_add_double(place, amount)) return;
    uint64_t *word = outrider_rows_shared(place);
    uint64_t old = __atomic_load_n(word, __ATOMIC_RELAXED), new;
    do {
        double number;
        memcpy(&number, &old, sizeof number);
        number += amount;
        memcpy(&new, &number, sizeof number);
    } while (!__atomic_compare_exchange_n(word, &old, new, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

static uint64_t at(const uint64_t *rows, uint32_t row, size_t offset) {
    return __atomic_load_n(rows + ((size_t)row << OUTRIDER_ROW_SHIFT) / 8 + offset, __ATOMIC_RELAXED);
}

static void *work(void *argument) {
    uint64_t place = *(uint64_t *)argument;
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    for (int turn = 0; turn < TURNS; turn++) {
        add(place, 1);
        add_double(place + 8, 0.25);
        if (turn % 1000 == 0) {
            // Migrate to another CPU in the middle of the loop.
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(turn / 1000 % CPU_COUNT(&allowed), &one);
            sched_setaffinity(0, sizeof one, &one);
        }
    }
    return NULL;
}

/// Every addition is in some row, whatever its CPU; also if the number of CPUs given is too small.
static void count_in_rows(uint32_t cpus) {
    uint64_t *rows = outrider_rows_map(cpus);
    CHECK(rows != NULL);
    CHECK(outrider_rows_resident(rows, cpus) <= (int)cpus + OUTRIDER_FIRST_ROWS);
    uint64_t place = (uint64_t)cpus << OUTRIDER_POINTER_BITS | (uintptr_t)(rows + 2) | 1;
    CHECK(outrider_rows_limit(place) == cpus);
    CHECK(outrider_rows_shared(place) == rows + 2);
    pthread_t threads[THREADS];
    for (int index = 0; index < THREADS; index++) {
        CHECK(pthread_create(&threads[index], NULL, work, &place) == 0);
    }
    for (int index = 0; index < THREADS; index++) pthread_join(threads[index], NULL);
    uint64_t total = 0;
    double sum = 0;
    for (uint32_t row = 0; row < cpus + OUTRIDER_FIRST_ROWS; row++) {
        total += at(rows, row, 2);
        uint64_t bits = at(rows, row, 3);
        double part;
        memcpy(&part, &bits, sizeof part);
        sum += part;
        // No other cell was touched.
        CHECK(at(rows, row, 1) == 0 && at(rows, row, 4) == 0);
    }
    CHECK(total == (uint64_t)THREADS * TURNS);
    CHECK(sum == THREADS * TURNS / 4.0);
    outrider_rows_unmap(rows, cpus);
}

static void find_buckets(void) {
    double bounds[] = {-1, 0, 0.5, 10};
    CHECK(outrider_bucket(bounds, 4, -2) == 0);
    CHECK(outrider_bucket(bounds, 4, -1) == 0);
    CHECK(outrider_bucket(bounds, 4, 0.25) == 2);
    CHECK(outrider_bucket(bounds, 4, 10) == 3);
    CHECK(outrider_bucket(bounds, 4, 11) == 4);
    CHECK(outrider_bucket(NULL, 0, 11) == 0);
}

#ifndef CELLS_UNDER_THREAD_SANITIZER
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int is_over;

static void *hold_lock(void *argument) {
    (void)argument;
    while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
        outrider_fork_hold();
        // Nested, as when a lock is taken under another.
        outrider_fork_hold();
        pthread_mutex_lock(&lock);
        pthread_mutex_unlock(&lock);
        outrider_fork_allow();
        outrider_fork_allow();
    }
    return NULL;
}

/// A child never finds the lock taken, however often other threads take it.
static void fork_beside_locks(void) {
    pthread_t threads[2];
    for (int index = 0; index < 2; index++) {
        CHECK(pthread_create(&threads[index], NULL, hold_lock, NULL) == 0);
    }
    for (int turn = 0; turn < 50; turn++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            outrider_fork_hold();
            int closed = pthread_mutex_trylock(&lock);
            outrider_fork_allow();
            _exit(closed != 0);
        }
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
    // A thread that forks while it holds a lock itself does not wait for other threads.
    outrider_fork_hold();
    pid_t child = fork();
    if (child == 0) {
        outrider_fork_allow();
        outrider_fork_hold();
        outrider_fork_allow();
        _exit(0);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    outrider_fork_allow();
    __atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
    for (int index = 0; index < 2; index++) pthread_join(threads[index], NULL);
}

#endif

int main(void) {
    find_buckets();
    count_in_rows(0);
#ifndef CELLS_UNDER_THREAD_SANITIZER
    count_in_rows(outrider_rows_cpus());
    count_in_rows(1);
    count_in_rows(64);
    fork_beside_locks();
#else
    CHECK(outrider_rows_cpus() == 0);
#endif
    puts("cells: every addition is in a row, and every lock is free in a child");
    return 0;
}
