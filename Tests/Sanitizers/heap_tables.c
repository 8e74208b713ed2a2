/* SPDX-License-Identifier: Apache-2.0
 * The heap sampler's tables, filter, locks and mathematics, without hooks, so that every sanitizer
 * can check them. Several threads race, and the totals must be consistent.
 *
 *   heap_tables [seed]
 */
#define _GNU_SOURCE
#include "../../Sources/COutriderHeap/blocks.h"
#include "../../Sources/COutriderHeap/random.h"
#include "../../Sources/COutriderHeap/lock.h"
#include "../../Sources/COutriderHeap/sites.h"

#include "check.h"

#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

static uint64_t seed = 1;

enum { THREADS = 4, ROUNDS = 40000, HELD = 1500 };

static void run_threads(void *(*body)(void *)) {
    pthread_t threads[THREADS];
    for (intptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

/* --- mathematics ---------------------------------------------------------------------------------- */

static void mathematics_agree_with_libm(void) {
    uint64_t state = seed;
    for (int i = 0; i < 200000; i++) {
        double u = ((double)(random_next(&state) >> 11) + 0.5) * 0x1p-53;
        CHECK(fabs(natural_log(u) - log(u)) <= 1e-12 * fabs(log(u)) + 1e-16);
        double x = ldexp(u, (int)(random_next(&state) % 64) - 50);
        double expected = -expm1(-x);
        CHECK(fabs(one_minus_exp(x) - expected) <= 1e-11 * expected);
    }
    CHECK(one_minus_exp(0) == 0 && one_minus_exp(1e300) == 1);
}

/* The mean of n exponential gaps has a standard deviation of mean / sqrt(n); this allows five of
 * them. */
static void gaps_have_their_mean(void) {
    enum { COUNT = 1000000, MEAN = 524288 };
    uint64_t state = seed;
    double sum = 0;
    int above = 0;
    for (int i = 0; i < COUNT; i++) {
        uint64_t gap = random_gap(&state, MEAN);
        sum += (double)gap;
        above += gap > MEAN;
    }
    CHECK(fabs(sum / COUNT / MEAN - 1) < 5 / sqrt(COUNT));
    /* A share of e^-1 of them is longer than the mean. */
    CHECK(fabs((double)above / COUNT - exp(-1)) < 5 * sqrt(exp(-1) * (1 - exp(-1)) / COUNT));
}

/* --- blocks --------------------------------------------------------------------------------------- */

/* Unmapped addresses, in a separate range for each thread, close together as an allocator's are. */
static void *fake_block(intptr_t thread, uint64_t number) {
    return (void *)(uintptr_t)(0x100000000000u + (uint64_t)thread * 0x40000000u + number * 48);
}

/* The sampler gives up a lock whose holder gets no CPU, and the caller loses a sample. Among racing
 * threads that depends on the machine's load, so the test retries, and only the final result
 * counts. */
static blocks_result insert_in_the_end(const void *block, sampled_block sample, sampled_block *stale) {
    blocks_result result;
    while ((result = outrider_heap_blocks_insert(block, sample, stale)) == BLOCKS_BUSY) continue;
    return result;
}

static blocks_result take_in_the_end(const void *block, sampled_block *taken) {
    blocks_result result;
    while ((result = outrider_heap_blocks_take(block, taken)) == BLOCKS_BUSY) continue;
    return result;
}

static void *insert_and_take(void *argument) {
    intptr_t thread = (intptr_t)argument;
    uint64_t state = seed + (uint64_t)thread, held[HELD];
    sampled_block stale, taken;
    for (int i = 0; i < HELD; i++) held[i] = UINT64_MAX;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        uint64_t *place = &held[random_next(&state) % HELD];
        if (*place != UINT64_MAX) {
            void *block = fake_block(thread, *place);
            CHECK(may_be_sampled(block));
            CHECK(take_in_the_end(block, &taken) == BLOCKS_DONE);
            CHECK(taken.size == *place + 1 && taken.objects == *place + 7);
            CHECK(taken.site == (uint32_t)*place);
            CHECK(take_in_the_end(block, &taken) == BLOCKS_NONE);
        }
        *place = round;
        sampled_block sample = {round + 1, round + 7, (uint32_t)round};
        CHECK(insert_in_the_end(fake_block(thread, round), sample, &stale) == BLOCKS_DONE);
        CHECK(stale.objects == 0);
    }
    for (int i = 0; i < HELD; i++)
        if (held[i] != UINT64_MAX)
            CHECK(take_in_the_end(fake_block(thread, held[i]), &taken) == BLOCKS_DONE);
    return NULL;
}

static _Atomic(bool) is_racing;

static void *copy_while_they_race(void *unused) {
    static outrider_heap_live live[2 * THREADS * HELD];
    uint32_t skipped;
    while (is_racing) {
        size_t count = outrider_heap_copy_live(live, sizeof live / sizeof *live, &skipped);
        CHECK(skipped == 0);
        /* A block that is taken during the copy may or may not be seen; at most this many are
         * held. */
        CHECK(count <= sizeof live / sizeof *live);
        for (size_t i = 0; i < count; i++) {
            CHECK(live[i].size == (uint64_t)live[i].site + 1 && live[i].objects == live[i].size + 6);
            CHECK(live[i].first_word == 0); /* nothing is mapped there */
        }
    }
    return unused;
}

static void blocks_are_found_until_they_are_taken(void) {
    pthread_t reader;
    is_racing = true;
    CHECK(pthread_create(&reader, NULL, copy_while_they_race, NULL) == 0);
    run_threads(insert_and_take);
    is_racing = false;
    pthread_join(reader, NULL);
    CHECK(outrider_heap_blocks_count() == 0);
    /* Every counter returned to zero, in both filters. */
    for (size_t i = 0; i <= FILTER_LARGE_MASK; i++) CHECK(outrider_heap_filter[i] == 0);
    CHECK(outrider_heap_filter_mask == FILTER_SMALL_MASK);
}

static void a_full_table_refuses_and_recovers(void) {
    sampled_block stale, sample = {1, 7, 0};
    uint32_t skipped;
    for (uint64_t i = 0; i < BLOCK_LIMIT; i++) {
        sample.site = (uint32_t)i;
        CHECK(outrider_heap_blocks_insert(fake_block(0, i), sample, &stale) == BLOCKS_DONE);
    }
    CHECK(outrider_heap_filter_mask == FILTER_LARGE_MASK);
    CHECK(outrider_heap_blocks_insert(fake_block(1, 0), sample, &stale) == BLOCKS_FULL);
    CHECK(outrider_heap_copy_live(NULL, 0, &skipped) == BLOCK_LIMIT);
    for (uint64_t i = 0; i < BLOCK_LIMIT; i++) {
        CHECK(may_be_sampled(fake_block(0, i)));
        CHECK(outrider_heap_blocks_take(fake_block(0, i), &sample) == BLOCKS_DONE);
        CHECK(sample.site == (uint32_t)i);
    }
    CHECK(outrider_heap_filter_mask == FILTER_SMALL_MASK && outrider_heap_blocks_count() == 0);
    CHECK(outrider_heap_blocks_insert(fake_block(1, 0), sample, &stale) == BLOCKS_DONE);
    CHECK(outrider_heap_blocks_take(fake_block(1, 0), &sample) == BLOCKS_DONE);
}

static void a_block_freed_behind_our_back_makes_room_for_the_next_at_its_address(void) {
    sampled_block stale, old = {10, 20, 3}, new = {11, 21, 4}, taken;
    void *block = fake_block(2, 5);
    CHECK(outrider_heap_blocks_insert(block, old, &stale) == BLOCKS_DONE && stale.objects == 0);
    CHECK(outrider_heap_blocks_insert(block, new, &stale) == BLOCKS_DONE);
    CHECK(stale.size == 10 && stale.objects == 20 && stale.site == 3);
    CHECK(outrider_heap_blocks_count() == 1);
    CHECK(outrider_heap_blocks_take(block, &taken) == BLOCKS_DONE && taken.size == 11);
    CHECK(outrider_heap_blocks_take(block, &taken) == BLOCKS_NONE && !may_be_sampled(block));
}

static void the_first_word_of_a_live_block_is_read(void) {
    static uintptr_t memory[4] = {0xfeed, 0xbeef, 0, 0};
    sampled_block stale, large = {16, 1, 0}, small = {4, 1, 1}, taken;
    outrider_heap_live live[3];
    uint32_t skipped;
    CHECK(outrider_heap_blocks_insert(memory, large, &stale) == BLOCKS_DONE);
    CHECK(outrider_heap_blocks_insert(&memory[1], small, &stale) == BLOCKS_DONE);
    CHECK(outrider_heap_blocks_insert(fake_block(0, 0), large, &stale) == BLOCKS_DONE);
    CHECK(outrider_heap_copy_live(live, 3, &skipped) == 3);
    for (int i = 0; i < 3; i++) {
        bool is_first = live[i].address == (uintptr_t)memory;
        /* The second is too small to have one, and the third is not mapped. */
        CHECK(live[i].first_word == (is_first ? 0xfeed : 0));
        CHECK(outrider_heap_blocks_take((void *)live[i].address, &taken) == BLOCKS_DONE);
    }
}

static void a_lock_that_is_never_released_costs_one_sample_only(void) {
    sampled_block stale, sample = {1, 1, 0};
    outrider_heap_blocks_lock_all();
    CHECK(outrider_heap_blocks_insert(fake_block(0, 1), sample, &stale) == BLOCKS_BUSY);
    CHECK(outrider_heap_blocks_take(fake_block(0, 1), &sample) == BLOCKS_BUSY);
    outrider_heap_blocks_unlock_all();
    CHECK(outrider_heap_blocks_insert(fake_block(0, 1), sample, &stale) == BLOCKS_DONE);
    CHECK(outrider_heap_blocks_take(fake_block(0, 1), &sample) == BLOCKS_DONE);
}

static sem_t holds_locks;

/* Acts like a thread that gets no CPU for a while. */
static void *hold_locks_for_a_while(void *unused) {
    outrider_heap_blocks_lock_all();
    sem_post(&holds_locks);
    struct timespec while_long = {.tv_nsec = 200000000};
    nanosleep(&while_long, NULL);
    outrider_heap_blocks_unlock_all();
    return unused;
}

static void a_reader_waits_for_a_lock_that_is_held_for_a_while(void) {
    enum { BLOCKS = 500 };
    static outrider_heap_live live[BLOCKS];
    sampled_block stale, sample = {1, 7, 0};
    uint32_t skipped;
    pthread_t holder;
    for (int i = 0; i < BLOCKS; i++)
        CHECK(outrider_heap_blocks_insert(fake_block(0, (uint64_t)i), sample, &stale) == BLOCKS_DONE);
    CHECK(sem_init(&holds_locks, 0, 0) == 0);
    CHECK(pthread_create(&holder, NULL, hold_locks_for_a_while, NULL) == 0);
    while (sem_wait(&holds_locks) != 0) continue;
    CHECK(outrider_heap_copy_live(live, BLOCKS, &skipped) == BLOCKS && skipped == 0);
    pthread_join(holder, NULL);
    for (int i = 0; i < BLOCKS; i++)
        CHECK(outrider_heap_blocks_take(fake_block(0, (uint64_t)i), &sample) == BLOCKS_DONE);
}

/* --- sites ---------------------------------------------------------------------------------------- */

enum { STACKS = 3000 };

static uint32_t make_stack(uint64_t number, uintptr_t *pcs) {
    uint32_t depth = 1 + (uint32_t)(number % 30);
    for (uint32_t i = 0; i < depth; i++) pcs[i] = (uintptr_t)(number * 31 + i + 4096);
    return depth;
}

static void *find_stacks(void *argument) {
    uint64_t state = seed + (uint64_t)(intptr_t)argument;
    uintptr_t pcs[32];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t number = random_next(&state) % STACKS;
        uint32_t depth = make_stack(number, pcs), site = outrider_heap_sites_find(pcs, depth, false);
        CHECK(site != 0 && site == outrider_heap_sites_find(pcs, depth, false));
        outrider_heap_sites_add_allocated(site, 2, 3);
        outrider_heap_sites_add_live(site, 5, 7);
        outrider_heap_sites_add_live(site, -4, -6);
    }
    return NULL;
}

static void every_stack_has_one_site_and_nothing_is_lost(void) {
    run_threads(find_stacks);
    outrider_heap_site site, sum = {0};
    unsigned used = 0;
    for (uint32_t i = 0; i < outrider_heap_site_count(); i++) {
        CHECK(outrider_heap_read_site(i, &site));
        used += site.allocated_objects != 0;
        sum.allocated_objects += site.allocated_objects;
        sum.allocated_bytes += site.allocated_bytes;
        sum.live_objects += site.live_objects;
        sum.live_bytes += site.live_bytes;
        CHECK(site.live_objects * 2 == site.allocated_objects);
    }
    CHECK(used <= STACKS);
    CHECK(sum.allocated_objects == 2ul * THREADS * ROUNDS);
    CHECK(sum.allocated_bytes == 3ul * THREADS * ROUNDS);
    CHECK(sum.live_objects == 1ul * THREADS * ROUNDS && sum.live_bytes == 1ul * THREADS * ROUNDS);
    CHECK(!outrider_heap_read_site(outrider_heap_site_count(), &site));
}

/* Reads the totals of a stack with these addresses; returns its site. */
static uint32_t sums_of(const uintptr_t *pcs, uint32_t depth, outrider_heap_site *sums) {
    uint32_t number = outrider_heap_sites_find(pcs, depth, false);
    CHECK(number && outrider_heap_read_site(number, sums));
    return number;
}

static void stacks_of_an_unloaded_library_move_with_their_blocks(void) {
    enum { START = 0x10000000, END = 0x10001000, MAIN = 0x20000000 };
    const uintptr_t to = (uintptr_t)1 << 63;
    /* The last call in the library returns to the library's end. */
    uintptr_t pcs[] = {START + 1, END, MAIN, END + 1}, moved[] = {to + 1, to + 0x1000, MAIN, END + 1};
    outrider_heap_site sums;
    sampled_block stale, taken;
    uint32_t before = 0, sites = 0;
    for (uint64_t round = 1; round <= 100; round++) {
        uint32_t site = outrider_heap_sites_find(pcs, 4, false);
        CHECK(site && (round == 1 || site == before));
        before = site;
        outrider_heap_sites_add_allocated(site, 1, 10);
        sampled_block sample = {10, (uint64_t)1 << OUTRIDER_HEAP_OBJECT_SHIFT, site};
        outrider_heap_sites_add_live(site, (int64_t)sample.objects, 10);
        CHECK(outrider_heap_blocks_insert(fake_block(1, round), sample, &stale) == BLOCKS_DONE);
        CHECK(outrider_heap_sites_move(START, END, to) == 0);
        uint32_t now = sums_of(moved, 4, &sums);
        CHECK(now != site && sums.allocated_objects == round && sums.allocated_bytes == 10 * round);
        CHECK(sums.live_bytes == 10 * round && sums.live_objects == round << OUTRIDER_HEAP_OBJECT_SHIFT);
        sums_of(pcs, 4, &sums);
        CHECK(!(sums.allocated_objects | sums.allocated_bytes | sums.live_objects | sums.live_bytes));
        if (round == 1) sites = outrider_heap_site_count();
    }
    CHECK(outrider_heap_site_count() == sites);
    for (uint64_t round = 1; round <= 100; round++) {
        CHECK(outrider_heap_blocks_take(fake_block(1, round), &taken) == BLOCKS_DONE);
        CHECK(taken.site == outrider_heap_sites_find(moved, 4, false) && taken.size == 10);
    }
}

static void a_full_table_of_stacks_sends_new_ones_to_site_0(void) {
    uintptr_t pcs[128];
    uint32_t known = outrider_heap_sites_find(pcs, make_stack(1, pcs), false);
    uint64_t number = 1000000;
    while (outrider_heap_sites_find(pcs, make_stack(number, pcs), true) != 0) number++;
    CHECK(outrider_heap_site_count() == SITE_LIMIT);
    CHECK(outrider_heap_sites_find(pcs, make_stack(1, pcs), false) == known);
    outrider_heap_sites_add_allocated(0, 1, 1);
    outrider_heap_site site;
    CHECK(outrider_heap_read_site(0, &site) && site.depth == 0 && site.allocated_objects == 1);
    /* With a full table, moved samples lose their stack, rather than get another library's. */
    make_stack(1, pcs);
    outrider_heap_sites_add_allocated(known, 5, 0);
    CHECK(outrider_heap_sites_move(pcs[0] - 1, pcs[0], (uintptr_t)1 << 62) > 0);
    CHECK(outrider_heap_read_site(0, &site) && site.allocated_objects > 5);
}

int main(int argc, char **argv) {
    if (argc > 1) seed = strtoull(argv[1], NULL, 10);
    CHECK(outrider_heap_blocks_prepare() && outrider_heap_sites_prepare());
    mathematics_agree_with_libm();
    gaps_have_their_mean();
    blocks_are_found_until_they_are_taken();
    a_full_table_refuses_and_recovers();
    a_block_freed_behind_our_back_makes_room_for_the_next_at_its_address();
    the_first_word_of_a_live_block_is_read();
    a_lock_that_is_never_released_costs_one_sample_only();
    a_reader_waits_for_a_lock_that_is_held_for_a_while();
    every_stack_has_one_site_and_nothing_is_lost();
    stacks_of_an_unloaded_library_move_with_their_blocks();
    a_full_table_of_stacks_sends_new_ones_to_site_0();
    printf("heap tables: %lu checks passed\n", checks);
    return 0;
}
