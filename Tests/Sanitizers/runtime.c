/* SPDX-License-Identifier: Apache-2.0
 * The hooks of the Swift runtime, on a simulation of it (runtime_swift.c), and the capture of
 * stacks, on real threads: threads race, and the totals must be consistent.
 */
#define _GNU_SOURCE
#include "../../Sources/COutriderRuntime/include/outrider_runtime.h"
#include "../../Sources/COutriderRuntime/swift_abi.h"
#include "check.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#if __has_feature(thread_sanitizer)
#define IS_UNDER_THREAD_SANITIZER 1
#else
#define IS_UNDER_THREAD_SANITIZER 0
#endif

extern uint32_t layout;
void end_task(void *task);
void enqueue_job(int *runs);
SWIFT_CALL swift_task_and_context swift_task_create(
    size_t flags, void *options, const void *result_type, void *entry, void *closure);
void *swift_allocObject(const void *type, size_t size, size_t alignment_mask);

enum { THREADS = 4, ROUNDS = 50000, HELD = 200 };

static void run_threads(void *(*body)(void *)) {
    pthread_t threads[THREADS];
    for (intptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static int is_over;

/* Calls `toggle` while the threads of `body` run. */
static void run_toggled(void *(*body)(void *), void *(*toggle)(void *)) {
    pthread_t toggler;
    __atomic_store_n(&is_over, 0, __ATOMIC_RELEASE);
    CHECK(pthread_create(&toggler, NULL, toggle, NULL) == 0);
    run_threads(body);
    __atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
    pthread_join(toggler, NULL);
}

static int goes_on(void) { return !__atomic_load_n(&is_over, __ATOMIC_ACQUIRE); }

/* --- jobs ----------------------------------------------------------------------------------------- */

static void *enqueue(void *unused) {
    int runs = 0;
    for (int i = 0; i < ROUNDS; i++) enqueue_job(&runs);
    CHECK(runs == ROUNDS);
    return unused;
}

static void *toggle_jobs(void *unused) {
    while (goes_on()) {
        outrider_jobs_stop();
        CHECK(outrider_jobs_start() == OUTRIDER_HOOK_ON);
    }
    return unused;
}

static void jobs_are_exact_unless_switched(void) {
    CHECK(outrider_jobs_start() == OUTRIDER_HOOK_ON);
    run_threads(enqueue);
    CHECK(outrider_jobs_enqueued() == THREADS * ROUNDS);
    run_toggled(enqueue, toggle_jobs);
    uint64_t before = outrider_jobs_enqueued();
    CHECK(before <= 2 * THREADS * ROUNDS);
    outrider_jobs_stop();
    run_threads(enqueue);
    CHECK(outrider_jobs_enqueued() == before);
    CHECK(outrider_jobs_start() == OUTRIDER_HOOK_ON);
    run_threads(enqueue);
    CHECK(outrider_jobs_enqueued() == before + THREADS * ROUNDS);
}

/* --- tasks ---------------------------------------------------------------------------------------- */

static void *create_and_end(void *number) {
    uint64_t chance = (uint64_t)(uintptr_t)number + 1;
    void *held[HELD] = {0};
    for (int i = 0; i < ROUNDS; i++) {
        size_t slot = next_random(&chance) % HELD;
        if (held[slot]) end_task(held[slot]);
        held[slot] = swift_task_create(0, NULL, NULL, NULL, NULL).task;
    }
    for (int i = 0; i < HELD; i++)
        if (held[i]) end_task(held[i]);
    return NULL;
}

static void *toggle_tasks(void *unused) {
    while (goes_on()) {
        outrider_tasks_stop();
        CHECK(outrider_tasks_start() == OUTRIDER_HOOK_ON);
        /* Threads create and end tasks while the counts are added, but never more than there are
         * rounds. */
        CHECK(outrider_tasks_read().live <= THREADS * ROUNDS);
    }
    return unused;
}

static void tasks_add_up(void) {
    layout = 2;
    CHECK(outrider_tasks_start() == OUTRIDER_HOOK_UNKNOWN_LAYOUT);
    layout = 1;
    CHECK(outrider_tasks_start() == OUTRIDER_HOOK_ON);
    run_threads(create_and_end);
    outrider_task_counts figures = outrider_tasks_read();
    CHECK(figures.created == THREADS * ROUNDS && figures.live == 0 && figures.refused == 0);
    run_toggled(create_and_end, toggle_tasks);
    CHECK(outrider_tasks_read().live == 0);
}

static void tasks_past_the_limit_are_counted(void) {
    enum { MANY = 150000 };
    CHECK(outrider_tasks_start() == OUTRIDER_HOOK_ON);
    void **held = malloc(sizeof *held * MANY);
    outrider_task_counts before = outrider_tasks_read();
    for (int i = 0; i < MANY; i++) held[i] = swift_task_create(0, NULL, NULL, NULL, NULL).task;
    outrider_task_counts full = outrider_tasks_read();
    CHECK(full.created - before.created == MANY);
    CHECK(full.refused > before.refused && full.live > 100000);
    CHECK(full.live + (full.refused - before.refused) == MANY);
    for (int i = 0; i < MANY; i++) end_task(held[i]);
    free(held);
    CHECK(outrider_tasks_read().live == 0);
}

/* --- objects -------------------------------------------------------------------------------------- */

enum { TYPES = 700, SIZE = 48, INTERVAL = 64 << 10 };
static char types[TYPES][8];

static void *allocate(void *number) {
    uint64_t chance = (uint64_t)(uintptr_t)number + 1;
    for (int i = 0; i < 20 * ROUNDS; i++)
        free(swift_allocObject(types[next_random(&chance) % TYPES], SIZE, 15));
    return NULL;
}

static void *toggle_objects(void *unused) {
    while (goes_on()) {
        outrider_objects_stop();
        CHECK(outrider_objects_start(INTERVAL) == OUTRIDER_HOOK_ON);
    }
    return unused;
}

static double bytes_of_all(size_t *count, int *has_rest) {
    static outrider_object_type read[OUTRIDER_OBJECT_TYPES + 1];
    double sum = 0;
    *count = outrider_objects_read(read);
    CHECK(*count <= OUTRIDER_OBJECT_TYPES + 1);
    *has_rest = 0;
    for (size_t i = 0; i < *count; i++) {
        sum += (double)read[i].bytes;
        *has_rest |= read[i].metadata == 0;
    }
    return sum;
}

/* Checks that the estimate grows by the bytes allocated: some 2,900 samples, with gaps between half
 * the mean and one and a half of it; this allows five standard deviations. */
static void check_estimate(void) {
    size_t count;
    int has_rest;
    double before = bytes_of_all(&count, &has_rest);
    CHECK(outrider_objects_start(INTERVAL) == OUTRIDER_HOOK_ON);
    run_threads(allocate);
    double truth = (double)SIZE * 20 * ROUNDS * THREADS;
    double estimate = bytes_of_all(&count, &has_rest) - before;
    CHECK(fabs(estimate / truth - 1) < 5 * 0.29 / sqrt(truth / INTERVAL) + 0.01);
    CHECK(count == OUTRIDER_OBJECT_TYPES + 1 && has_rest);
}

static void objects_are_estimated_and_types_are_few(void) {
    check_estimate();
    run_toggled(allocate, toggle_objects);
    check_estimate();
    outrider_objects_stop();
}

/* --- stacks --------------------------------------------------------------------------------------- */

static int foreign_signals;
static void count_signal(int number) {
    (void)number;
    __atomic_fetch_add(&foreign_signals, 1, __ATOMIC_RELAXED);
}

static volatile pid_t waiting;
static int may_end;

__attribute__((noinline)) static void hang(void) {
    while (!__atomic_load_n(&may_end, __ATOMIC_ACQUIRE)) usleep(1000);
}

static void *hanging(void *is_deaf) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(is_deaf ? SIG_BLOCK : SIG_UNBLOCK, &all, NULL);
    __atomic_store_n(&waiting, outrider_current_thread(), __ATOMIC_RELEASE);
    hang();
    return NULL;
}

/* Starts such a thread, captures its stack many times, and ends it. */
static pid_t capture_of(int is_deaf, outrider_capture_result wanted) {
    pthread_t thread;
    waiting = 0;
    may_end = 0;
    CHECK(pthread_create(&thread, NULL, hanging, (void *)(intptr_t)is_deaf) == 0);
    while (__atomic_load_n(&waiting, __ATOMIC_ACQUIRE) == 0) usleep(1000);
    for (int i = 0; i < (is_deaf ? 2 : 200); i++) {
        uintptr_t pcs[64];
        size_t count = 0;
        outrider_capture_result result =
            outrider_capture(waiting, is_deaf ? 50 : 10000, pcs, 64, &count);
        CHECK(result == wanted);
        CHECK((count > 0) == (wanted == OUTRIDER_CAPTURE_DONE));
    }
    pid_t number = waiting;
    __atomic_store_n(&may_end, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    return number;
}

static void stacks_are_captured_and_foreign_signals_passed_on(void) {
    uintptr_t pcs[64];
    size_t count;
    CHECK(outrider_capture(outrider_current_thread(), 100, pcs, 64, &count) == OUTRIDER_CAPTURE_OFF);
    signal(SIGPROF, count_signal);
    CHECK(outrider_capture_prepare() && outrider_capture_prepare());
    raise(SIGPROF);
    CHECK(foreign_signals == 1);
    pid_t ended = capture_of(0, OUTRIDER_CAPTURE_DONE);
    capture_of(1, OUTRIDER_CAPTURE_TIMEOUT);
    capture_of(0, OUTRIDER_CAPTURE_DONE);
    CHECK(outrider_capture(ended, 100, pcs, 64, &count) == OUTRIDER_CAPTURE_NO_THREAD);
    CHECK(foreign_signals == 1);
    signal(SIGPROF, SIG_IGN);
    CHECK(outrider_capture(outrider_current_thread(), 100, pcs, 64, &count) == OUTRIDER_CAPTURE_TAKEN);
}

int main(void) {
    jobs_are_exact_unless_switched();
    tasks_add_up();
    tasks_past_the_limit_are_counted();
    objects_are_estimated_and_types_are_few();
    /* The thread sanitizer delays signals until a thread calls into it. */
    if (!IS_UNDER_THREAD_SANITIZER) stacks_are_captured_and_foreign_signals_passed_on();
    printf("runtime: %lu checks\n", checks);
    return 0;
}
