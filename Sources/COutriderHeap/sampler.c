/* SPDX-License-Identifier: Apache-2.0
 * The sampler: the end of a countdown, the choice of samples, and their records.
 *
 * Re-entrancy: `is_busy` is set while a thread is in here. Allocations by the sampler itself or by
 * a signal handler are then passed on uncounted; their frees are looked up with locks that give up.
 */
#define _GNU_SOURCE
#include "sampler.h"

#include "outrider_heap.h"
#include "outrider_symbols.h"

#include <stddef.h>

#if OUTRIDER_HEAP_HOOKED
#include "blocks.h"
#include "random.h"
#include "cost.h"
#include "lock.h"
#include "next.h"
#include "sites.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>

/* A thread reads the clock once per this many samples. */
enum { JUDGED_EVERY = 8 };
/* The shortest period over which the budget is evaluated. */
static const uint64_t budget_window_ns = 1000000000;

#define THREAD_LOCAL static __thread __attribute__((tls_model("initial-exec")))

HIDDEN __thread uint64_t outrider_heap_countdown __attribute__((tls_model("initial-exec")));
/* Bytes of the gap after the countdown; the mean of its distribution, 0 if none was drawn. */
THREAD_LOCAL uint64_t gap_after_countdown;
THREAD_LOCAL uint64_t gap_mean;
THREAD_LOCAL uint64_t random_state;
THREAD_LOCAL int is_busy;
THREAD_LOCAL unsigned samples_here;
THREAD_LOCAL outrider_stack_bounds bounds;

/* The current interval; 0 while sampling is off. */
static _Atomic(uint64_t) interval;
static _Atomic(uint64_t) seeds;
/* Budget in nanoseconds per second; start of the current period, and the time spent by then. */
static _Atomic(uint64_t) budget, window_start, window_taken;
static bounded_lock settings;
/* Written once, under the lock. */
static _Atomic(int) is_prepared;
static const char *_Atomic refusal;

static struct {
    _Atomic(uint64_t) allocated_objects, allocated_bytes, live_objects, live_bytes;
    _Atomic(uint64_t) samples, refused_live, refused_sites, missed_frees, truncated, sampler_ns;
} counters;

/* ORDERING: relaxed for all counters: they publish nothing, and are read one by one. */
static void add(_Atomic(uint64_t) *counter, uint64_t amount) {
    atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

/* --- gaps ------------------------------------------------------------------------------------- */

/* The coarse clock, read from a page that the kernel maps; a few milliseconds behind. All other
 * clocks may need a system call, or a counter that the process may not be allowed to read
 * (clock_gettime(2), seccomp(2)). */
static uint64_t coarse_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Uses the sixteen random bytes that the kernel gives every process (getauxval(3)). */
static uint64_t random_word(void) {
    uint64_t word = 0;
    const void *bytes = (const void *)getauxval(AT_RANDOM);
    if (bytes) memcpy(&word, bytes, sizeof word);
    return word;
}

/* Draws a gap; an interval of 1 samples everything. */
static uint64_t draw_gap(uint64_t mean) {
    if (mean <= 1) return 0;
    if (random_state == 0)
        random_state = random_word() ^ (uintptr_t)&random_state
            ^ atomic_fetch_add(&seeds, 0x9e3779b97f4a7c15u);
    return random_gap(&random_state, mean);
}

static void begin_countdown(uint64_t gap) {
    outrider_heap_countdown = gap < MAX_COUNTDOWN ? gap : MAX_COUNTDOWN;
    gap_after_countdown = gap - outrider_heap_countdown;
}

uint64_t outrider_heap_end_countdown(uint64_t counted) {
    uint64_t before = outrider_heap_countdown + counted;
    if (is_busy) {
        outrider_heap_countdown = before;
        return 0;
    }
    uint64_t past = counted - before, mean = gap_mean;
    /* ORDERING: acquire; a thread that sees an interval sees the tables that it needs. */
    uint64_t wanted = atomic_load_explicit(&interval, memory_order_acquire);
    bool is_sample = mean != 0 && gap_after_countdown < past;
    uint64_t gap;
    if (mean != 0 && !is_sample && mean == wanted) {
        gap = gap_after_countdown - past;
    } else {
        /* Gaps are memoryless: the rest of one may be drawn again, even with another mean. */
        gap_mean = wanted;
        gap = wanted ? draw_gap(wanted) : MAX_COUNTDOWN;
        if (mean == 0 && wanted) {
            /* No gap was drawn for this call yet: the new one decides about it. */
            is_sample = gap < counted;
            mean = wanted;
            gap = is_sample ? draw_gap(wanted) : gap - counted;
        }
    }
    begin_countdown(gap);
    return is_sample && wanted ? mean : 0;
}

/* --- samples ---------------------------------------------------------------------------------- */

/* Number of blocks of this size that a sample represents, shifted. */
static uint64_t objects_of(uint64_t size, uint64_t mean) {
    double one = (double)(1u << OUTRIDER_HEAP_OBJECT_SHIFT);
    if (mean <= 1) return (uint64_t)one;
    return (uint64_t)(one / one_minus_exp(((double)size + 1) / (double)mean) + 0.5);
}

static void add_live(uint32_t site, uint64_t objects, uint64_t bytes) {
    add(&counters.live_objects, objects);
    add(&counters.live_bytes, bytes);
    outrider_heap_sites_add_live(site, (int64_t)objects, (int64_t)bytes);
}

static void remove_live(const sampled_block *sample) {
    uint64_t bytes = sampled_bytes(sample->objects, sample->size);
    add(&counters.live_objects, -sample->objects);
    add(&counters.live_bytes, -bytes);
    outrider_heap_sites_add_live(sample->site, -(int64_t)sample->objects, -(int64_t)bytes);
}

/* The site of a call, and the cost of finding it. */
static uint32_t site_of(outrider_stack_point caller, uint64_t *cost) {
    if (!bounds.high) bounds = outrider_stack_find_bounds(caller.sp);
    uintptr_t pcs[OUTRIDER_STACK_DEPTH];
    outrider_stack_end end;
    size_t depth = outrider_stack_walk(caller, bounds, pcs, OUTRIDER_STACK_DEPTH, &end);
    *cost = outrider_heap_cost_of(depth - end.contexts, end.contexts);
    if (end.is_truncated) add(&counters.truncated, 1);
    uint32_t site = outrider_heap_sites_find(pcs, (uint32_t)depth, end.is_truncated);
    if (!site) outrider_heap_count_refused_site();
    return site;
}

void outrider_heap_count_refused_site(void) { add(&counters.refused_sites, 1); }

static void remember(const void *block, sampled_block sample) {
    sampled_block stale;
    switch (outrider_heap_blocks_insert(block, sample, &stale)) {
    case BLOCKS_DONE:
        add_live(sample.site, sample.objects, sampled_bytes(sample.objects, sample.size));
        if (stale.objects) remove_live(&stale);
        break;
    default: add(&counters.refused_live, 1);
    }
}

/* Evaluates the last second or more, and widens the interval if it exceeded the budget. One thread
 * does so; the others continue. */
static void keep_budget(uint64_t now) {
    uint64_t allowed = atomic_load_explicit(&budget, memory_order_relaxed);
    uint64_t start = atomic_load_explicit(&window_start, memory_order_relaxed);
    if (!allowed || (start != 0 && now - start < budget_window_ns)) return;
    if (!atomic_compare_exchange_strong(&window_start, &start, now)) return;
    uint64_t taken = atomic_load_explicit(&counters.sampler_ns, memory_order_relaxed);
    uint64_t before = atomic_exchange(&window_taken, taken);
    if (start == 0) return;
    double used = (double)(taken - before) / ((double)(now - start) / 1e9);
    uint64_t current = atomic_load_explicit(&interval, memory_order_relaxed), wider = current;
    /* Half as many samples cost half as much. */
    for (; used > (double)allowed && wider && wider < OUTRIDER_HEAP_MAX_INTERVAL; used /= 2) wider *= 2;
    /* Unless another thread has set a new interval. */
    if (wider != current) atomic_compare_exchange_strong(&interval, &current, wider);
}

void outrider_heap_sample(
    void *block, uint64_t size, uint64_t grown, sample_kind kind, uint64_t mean,
    outrider_stack_point caller) {
    int saved = errno;
    is_busy = 1;
    outrider_heap_enter_tables();
    uint64_t cost, objects = objects_of(size, mean);
    uint32_t site = site_of(caller, &cost);
    uint64_t allocated = sampled_bytes(objects, grown);
    uint64_t allocated_objects = kind == NEW_BLOCK ? objects : 0;
    add(&counters.samples, 1);
    add(&counters.allocated_objects, allocated_objects);
    add(&counters.allocated_bytes, allocated);
    outrider_heap_sites_add_allocated(site, allocated_objects, allocated);
    remember(block, (sampled_block){size, objects, site});

    add(&counters.sampler_ns, cost);
    if (samples_here++ % JUDGED_EVERY == 0) keep_budget(coarse_now_ns());
    is_busy = 0;
    outrider_heap_leave_tables();
    errno = saved;
}

bool outrider_heap_remove(const void *block, removed_block *removed) {
    sampled_block sample;
    outrider_heap_enter_tables();
    blocks_result result = outrider_heap_blocks_take(block, &sample);
    if (result == BLOCKS_DONE) {
        remove_live(&sample);
        *removed = (removed_block){sample.size, sample.objects, sample.site};
    } else if (result == BLOCKS_BUSY) {
        add(&counters.missed_frees, 1);
    }
    outrider_heap_leave_tables();
    return result == BLOCKS_DONE;
}

void outrider_heap_restore(const void *block, removed_block removed) {
    outrider_heap_enter_tables();
    remember(block, (sampled_block){removed.size, removed.objects, removed.site});
    outrider_heap_leave_tables();
}

bool outrider_heap_forget(const void *block) {
    removed_block removed;
    return outrider_heap_remove(block, &removed);
}

/* --- settings --------------------------------------------------------------------------------- */

static void before_fork(void) {
    outrider_heap_enter_tables();
    outrider_modules_before_fork();
    outrider_heap_blocks_lock_all();
}

static void after_fork_in_parent(void) {
    outrider_heap_blocks_unlock_all();
    outrider_modules_after_fork(false);
    outrider_heap_leave_tables();
}

static void after_fork_in_child(void) {
    outrider_heap_blocks_unlock_all();
    outrider_modules_after_fork(true);
    outrider_heap_leave_tables();
}

/* Whether the process calls these hooks. Tested by a call: in a program that is linked to a fixed
 * address, function pointers may point to stubs, so comparing them proves nothing. */
bool outrider_heap_is_called(void) {
    void *(*process_malloc)(size_t) = (void *(*)(size_t))outrider_heap_called(RTLD_DEFAULT, "malloc");
    void (*process_free)(void *) = (void (*)(void *))outrider_heap_called(RTLD_DEFAULT, "free");
    if (!process_malloc || !process_free) return false;
    uint64_t left = outrider_heap_countdown;
    outrider_heap_countdown = MAX_COUNTDOWN;
    void *block = process_malloc(1);
    bool has_counted = outrider_heap_countdown != MAX_COUNTDOWN;
    outrider_heap_countdown = left;
    process_free(block);
    return has_counted;
}

/* The same for free, which requires the tables. */
static bool is_free_called(void) {
    void *(*process_malloc)(size_t) = (void *(*)(size_t))outrider_heap_called(RTLD_DEFAULT, "malloc");
    void (*process_free)(void *) = (void (*)(void *))outrider_heap_called(RTLD_DEFAULT, "free");
    void *block = process_malloc ? process_malloc(1) : NULL;
    sampled_block sample = {1, 0, 0}, other;
    if (!process_free || outrider_heap_blocks_insert(block, sample, &other) != BLOCKS_DONE) return false;
    process_free(block);
    bool has_forgotten = outrider_heap_blocks_take(block, &other) == BLOCKS_NONE;
    /* The state of a new thread. */
    outrider_heap_countdown = gap_after_countdown = gap_mean = 0;
    return has_forgotten;
}

/* Prepares sampling once; the caller holds the lock. */
static bool prepare(void) {
    if (is_prepared) return true;
    const char *problem = outrider_heap_next_problem();
    if (!problem && !(outrider_heap_sites_prepare() && outrider_heap_blocks_prepare()))
        problem = "out of memory for the sampling tables";
    if (!problem && !(outrider_heap_is_called() && is_free_called()))
        problem = "another library's malloc takes precedence over the hooks in this process";
    if (!problem && pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0)
        problem = "out of memory for fork handlers";
    if (!problem) outrider_heap_measure_cost();
    refusal = problem;
    is_prepared = problem == NULL;
    return is_prepared;
}

outrider_heap_state_t outrider_heap_state(void) {
    if (refusal) return OUTRIDER_HEAP_REFUSED;
    return outrider_heap_interval() ? OUTRIDER_HEAP_SAMPLING : OUTRIDER_HEAP_OFF;
}

const char *outrider_heap_refusal(void) {
    const char *reason = refusal;
    return reason ? reason : "";
}

const char *outrider_heap_allocator(void) { return outrider_heap_next_file(); }

outrider_heap_state_t outrider_heap_start(uint64_t wanted) {
    if (wanted == 0) wanted = 1;
    if (wanted > OUTRIDER_HEAP_MAX_INTERVAL) wanted = OUTRIDER_HEAP_MAX_INTERVAL;
    if (lock_take(&settings)) {
        /* ORDERING: release pairs with the acquire in outrider_heap_end_countdown. */
        if (prepare()) atomic_store_explicit(&interval, wanted, memory_order_release);
        lock_release(&settings);
        outrider_heap_update_modules();
    }
    return outrider_heap_state();
}

void outrider_heap_set_budget(uint64_t nanoseconds) {
    atomic_store_explicit(&budget, nanoseconds, memory_order_relaxed);
    atomic_store_explicit(&window_start, 0, memory_order_relaxed);
}

void outrider_heap_stop(void) { atomic_store_explicit(&interval, 0, memory_order_release); }

uint64_t outrider_heap_interval(void) {
    return atomic_load_explicit(&interval, memory_order_relaxed);
}

void outrider_heap_seed(uint64_t seed) {
    random_state = seed ? seed : 1;
    gap_mean = 0;
    gap_after_countdown = 0;
    outrider_heap_countdown = 0;
}

void outrider_heap_read_counters(outrider_heap_counters *into) {
#define READ(name) .name = atomic_load_explicit(&counters.name, memory_order_relaxed)
    *into = (outrider_heap_counters){
        READ(allocated_objects), READ(allocated_bytes), READ(live_objects), READ(live_bytes),
        READ(samples), READ(refused_live), READ(refused_sites), READ(missed_frees),
        READ(sampler_ns),
        .truncated_stacks = atomic_load_explicit(&counters.truncated, memory_order_relaxed),
        .live_samples = outrider_heap_blocks_count(),
        .sites = outrider_heap_site_count(),
    };
#undef READ
}

#else

outrider_heap_state_t outrider_heap_state(void) { return OUTRIDER_HEAP_ABSENT; }
const char *outrider_heap_refusal(void) {
    return "this build has no malloc hooks (a sanitizer build, or a system without them)";
}
const char *outrider_heap_allocator(void) { return ""; }
outrider_heap_state_t outrider_heap_start(uint64_t wanted) {
    (void)wanted;
    return OUTRIDER_HEAP_ABSENT;
}
void outrider_heap_set_budget(uint64_t nanoseconds) { (void)nanoseconds; }
void outrider_heap_update_modules(void) {}
void outrider_heap_stop(void) {}
uint64_t outrider_heap_interval(void) { return 0; }
void outrider_heap_seed(uint64_t seed) { (void)seed; }
void outrider_heap_read_counters(outrider_heap_counters *into) { *into = (outrider_heap_counters){0}; }
#endif

#if !OUTRIDER_HEAP_TABLES
uint32_t outrider_heap_site_count(void) { return 0; }
int outrider_heap_read_site(uint32_t index, outrider_heap_site *into) {
    (void)index, (void)into;
    return 0;
}
size_t outrider_heap_copy_live(outrider_heap_live *into, size_t capacity, uint32_t *skipped) {
    (void)into, (void)capacity;
    *skipped = 0;
    return 0;
}
#endif
