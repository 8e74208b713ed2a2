/* SPDX-License-Identifier: Apache-2.0
 * Pairs of malloc and free, to measure the cost of a malloc hook.
 *
 *   pairs OP COUNT    runs one operation without reading the clock, to count instructions
 *   pairs NAME        times all of them; prints `NAME OP 1 MIN_NS MEDIAN_NS` each, tab-separated
 *
 * malloc_64 and malloc_4096 allocate and free a block; malloc_mixed keeps 1,024 blocks and replaces
 * one at a time: half of them of 16 to 63 bytes, 30 % to 255, 15 % to 2,047, 5 % to 16,047. Times
 * are CPU time of the thread, over bursts long enough for many samples of a heap profiler. A second
 * thread sleeps, because every service has several: glibc takes no locks in a process with one.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { KEPT = 1024, BURSTS = 25, BURST_NS = 40000000 };

static void *volatile sink;
static size_t sizes[KEPT];
static void *kept[KEPT];

static void prepare_sizes(void) {
    static const struct {
        unsigned percent, low, count;
    } classes[] = {{50, 16, 48}, {30, 64, 192}, {15, 256, 1792}, {5, 2048, 14000}};
    uint64_t state = 42;
    for (int i = 0; i < KEPT; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        unsigned pick = (unsigned)(state >> 33) % 100, c = 0;
        while (pick >= classes[c].percent) pick -= classes[c++].percent;
        sizes[i] = classes[c].low + (unsigned)(state >> 40) % classes[c].count;
    }
}

__attribute__((noinline)) static void malloc_64(long count) {
    while (count-- > 0) {
        void *block = malloc(64);
        sink = block;
        free(block);
    }
}

__attribute__((noinline)) static void malloc_mixed(long count) {
    for (long i = 0; i < count; i++) {
        void **place = &kept[i % KEPT];
        free(*place);
        *place = malloc(sizes[i * 7 % KEPT]);
    }
}

__attribute__((noinline)) static void malloc_4096(long count) {
    while (count-- > 0) {
        char *block = malloc(4096);
        *(volatile char *)block = 1;
        sink = block;
        free(block);
    }
}

static const struct {
    const char *name;
    void (*run)(long);
} operations[] = {
    {"malloc_64", malloc_64}, {"malloc_mixed", malloc_mixed}, {"malloc_4096", malloc_4096}};
enum { OPERATIONS = sizeof operations / sizeof *operations };

static double cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_value(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void time_operation(const char *name, int operation) {
    void (*run)(long) = operations[operation].run;
    double times[BURSTS], taken = 0;
    long count = 1000;
    while (taken < BURST_NS / 4) {
        count *= 2;
        double start = cpu_ns();
        run(count);
        taken = cpu_ns() - start;
    }
    count = (long)((double)count * BURST_NS / taken);
    for (int burst = 0; burst < BURSTS; burst++) {
        double start = cpu_ns();
        run(count);
        times[burst] = (cpu_ns() - start) / (double)count;
    }
    qsort(times, BURSTS, sizeof *times, by_value);
    printf("%s\t%s\t1\t%.2f\t%.2f\n", name, operations[operation].name, times[0], times[BURSTS / 2]);
}

static void *wait_for_ever(void *unused) {
    for (;;) pause();
    return unused;
}

int main(int argc, char **argv) {
    prepare_sizes();
    if (argc == 3) {
        for (int i = 0; i < OPERATIONS; i++)
            if (strcmp(argv[1], operations[i].name) == 0) return operations[i].run(atol(argv[2])), 0;
        fprintf(stderr, "pairs: no operation %s\n", argv[1]);
        return 2;
    }
    pthread_t other;
    if (pthread_create(&other, NULL, wait_for_ever, NULL) != 0) return 1;
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    sched_setaffinity(0, sizeof first, &first);
    for (int i = 0; i < OPERATIONS; i++) time_operation(argc > 1 ? argv[1] : "malloc", i);
    return 0;
}
