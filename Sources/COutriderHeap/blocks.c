/* SPDX-License-Identifier: Apache-2.0
 * The table of live samples.
 *
 * A bucket and its counter in the small filter have the same index, so one lock guards both: the
 * one selected by the lowest six bits of the index. Nodes come from one mapping and return to a
 * free list, so that a table with few samples touches few pages. The caller of `insert` has not
 * published its block yet, and the caller of `take` has not freed it, so two calls are never about
 * the same block. Only a block that was freed without our hooks can leave a stale node, which is
 * removed when its address is sampled again.
 */
#define _GNU_SOURCE
#include "hooked.h"

#if OUTRIDER_HEAP_TABLES
#include "blocks.h"
#include "lock.h"
#include "sites.h"

#include "outrider_stack.h"

#include <stdatomic.h>
#include <sys/mman.h>

enum { STRIPES = 64, BUCKETS = FILTER_SMALL_MASK + 1 };
/* How often a lock is tried if no sample may be skipped: each try takes up to 20 ms. */
enum { TRIES = 10 };
/* The small filter grows when it would stop 3 % of all unsampled frees, and shrinks at half
 * that. */
enum { GROW_AT = 2048, SHRINK_AT = 1024 };
/* Waits of a reader for all locks together: at least 2 s. On a busy machine a thread that holds a
 * lock may not get CPU time for a while, and a part that is skipped is missing from the profile. */
enum { READER_WAITS = 40000 };

typedef struct {
    uintptr_t address;
    uint64_t size;
    uint64_t objects;
    uint32_t site;
    uint32_t next; /* index of the next node plus one, or 0 */
} node;

HIDDEN uint8_t outrider_heap_filter[FILTER_LARGE_MASK + 1] __attribute__((aligned(4096)));
HIDDEN uint32_t outrider_heap_filter_mask = FILTER_SMALL_MASK;

static bounded_lock stripes[STRIPES];
static uint64_t held_for_fork;
static uint32_t buckets[BUCKETS];
static node *nodes;
/* Index of the first node that was never used. */
static _Atomic(uint32_t) fresh;
/* The free list of nodes: an index plus one in the low half, a change count in the high half, which
 * distinguishes a list that has changed back (the ABA problem). */
static _Atomic(uint64_t) spare;
static _Atomic(uint32_t) live;
/* Whether the large filter includes every block. Written with all locks held, read with one. */
static bool fills_large;

bool outrider_heap_blocks_prepare(void) {
    if (nodes) return true;
    void *memory = mmap(
        NULL, (size_t)BLOCK_LIMIT * sizeof(node), PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return false;
    nodes = memory;
    return true;
}

/* --- nodes ------------------------------------------------------------------------------------ */

/* Links are written atomically because take_node may read the link of a node that is already
 * taken. */
static void link_to(uint32_t *link, uint32_t number) {
    __atomic_store_n(link, number, __ATOMIC_RELAXED);
}

static uint32_t take_node(void) {
    /* ORDERING: acquire and release hand a node over, with its link, from the thread that returned
     * it. */
    uint64_t head = atomic_load_explicit(&spare, memory_order_acquire);
    while ((uint32_t)head) {
        uint32_t next = __atomic_load_n(&nodes[(uint32_t)head - 1].next, __ATOMIC_RELAXED);
        uint64_t without = ((head >> 32) + 1) << 32 | next;
        if (atomic_compare_exchange_weak_explicit(
                &spare, &head, without, memory_order_acq_rel, memory_order_acquire))
            return (uint32_t)head;
    }
    uint32_t number = atomic_load_explicit(&fresh, memory_order_relaxed);
    while (number < BLOCK_LIMIT)
        if (atomic_compare_exchange_weak(&fresh, &number, number + 1)) return number + 1;
    return 0;
}

static void give_node(uint32_t number) {
    uint64_t head = atomic_load_explicit(&spare, memory_order_relaxed), with;
    do {
        link_to(&nodes[number - 1].next, (uint32_t)head);
        with = ((head >> 32) + 1) << 32 | number;
    } while (!atomic_compare_exchange_weak_explicit(
        &spare, &head, with, memory_order_release, memory_order_relaxed));
}

/* --- the filter ------------------------------------------------------------------------------- */

/* Counters that reach their maximum stay there: then the filter stops too many frees, never too
 * few. */
static void count_up(uint32_t index) {
    uint8_t count = outrider_heap_filter[index];
    if (count < UINT8_MAX) __atomic_store_n(&outrider_heap_filter[index], count + 1, __ATOMIC_RELAXED);
}

static void count_down(uint32_t index) {
    uint8_t count = outrider_heap_filter[index];
    if (count > 0 && count < UINT8_MAX)
        __atomic_store_n(&outrider_heap_filter[index], count - 1, __ATOMIC_RELAXED);
}

/* Both filters share one array: a block counts at its index in each of them, only once if the two
 * indices are the same. So the mask may change at any time. */
static void filter_add(uint32_t hash) {
    count_up(hash & FILTER_SMALL_MASK);
    if (fills_large && hash > FILTER_SMALL_MASK) count_up(hash);
}

static void filter_remove(uint32_t hash) {
    count_down(hash & FILTER_SMALL_MASK);
    if (fills_large && hash > FILTER_SMALL_MASK) count_down(hash);
}

void outrider_heap_filter_add(const void *block) {
    uint32_t hash = filter_hash(block);
    __atomic_store_n(&outrider_heap_filter[hash & FILTER_SMALL_MASK], UINT8_MAX, __ATOMIC_RELAXED);
    __atomic_store_n(&outrider_heap_filter[hash], UINT8_MAX, __ATOMIC_RELAXED);
}

static void unlock(uint64_t held) {
    for (int i = 0; i < STRIPES; i++)
        if (held >> i & 1) lock_release(&stripes[i]);
}

static uint64_t lock_all(void) {
    uint64_t held = 0;
    for (int i = 0; i < STRIPES; i++)
        if (lock_take(&stripes[i])) held |= (uint64_t)1 << i;
    return held;
}

/* Adds every block to the large filter. Takes some 20 us, once per process. */
static void fill_large(void) {
    uint64_t held = lock_all();
    if (held == UINT64_MAX && !fills_large) {
        for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) {
            for (uint32_t at = buckets[bucket]; at; at = nodes[at - 1].next) {
                uint32_t hash = filter_hash((void *)nodes[at - 1].address);
                if (hash > FILTER_SMALL_MASK) count_up(hash);
            }
        }
        fills_large = true;
    }
    bool is_filled = fills_large;
    unlock(held);
    /* ORDERING: release; a free that reads the new mask received its block from a thread that
     * either filled the large filter or came after it. */
    if (is_filled) __atomic_store_n(&outrider_heap_filter_mask, FILTER_LARGE_MASK, __ATOMIC_RELEASE);
}

/* --- the table -------------------------------------------------------------------------------- */

/* Unlinks the node of a block; 0 if there is none. The caller holds the lock. */
static uint32_t unlink_node(uint32_t bucket, uintptr_t address) {
    uint32_t *link = &buckets[bucket];
    while (*link) {
        uint32_t at = *link;
        if (nodes[at - 1].address == address) {
            link_to(link, nodes[at - 1].next);
            return at;
        }
        link = &nodes[at - 1].next;
    }
    return 0;
}

static sampled_block content(uint32_t number) {
    const node *from = &nodes[number - 1];
    return (sampled_block){from->size, from->objects, from->site};
}

blocks_result outrider_heap_blocks_insert(
    const void *block, sampled_block sample, sampled_block *stale) {
    uint32_t hash = filter_hash(block), bucket = hash & FILTER_SMALL_MASK;
    stale->objects = 0;
    uint32_t number = take_node();
    if (!number) return BLOCKS_FULL;
    bounded_lock *stripe = &stripes[bucket % STRIPES];
    if (!lock_take(stripe)) {
        give_node(number);
        return BLOCKS_BUSY;
    }
    uint32_t old = outrider_heap_filter[bucket] ? unlink_node(bucket, (uintptr_t)block) : 0;
    if (old) *stale = content(old);
    node *new = &nodes[number - 1];
    new->address = (uintptr_t)block;
    new->size = sample.size;
    new->objects = sample.objects;
    new->site = sample.site;
    link_to(&new->next, buckets[bucket]);
    buckets[bucket] = number;
    if (!old) filter_add(hash);
    lock_release(stripe);
    if (old) {
        give_node(old);
        return BLOCKS_DONE;
    }
    uint32_t count = atomic_fetch_add_explicit(&live, 1, memory_order_relaxed) + 1;
    if (UNLIKELY(count > GROW_AT)
        && __atomic_load_n(&outrider_heap_filter_mask, __ATOMIC_RELAXED) == FILTER_SMALL_MASK)
        fill_large();
    return BLOCKS_DONE;
}

blocks_result outrider_heap_blocks_take(const void *block, sampled_block *sample) {
    uint32_t hash = filter_hash(block), bucket = hash & FILTER_SMALL_MASK;
    bounded_lock *stripe = &stripes[bucket % STRIPES];
    if (!lock_take(stripe)) return BLOCKS_BUSY;
    uint32_t number = unlink_node(bucket, (uintptr_t)block);
    if (number) {
        *sample = content(number);
        filter_remove(hash);
    }
    lock_release(stripe);
    if (!number) return BLOCKS_NONE;
    give_node(number);
    uint32_t count = atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed) - 1;
    if (UNLIKELY(count == SHRINK_AT))
        __atomic_store_n(&outrider_heap_filter_mask, FILTER_SMALL_MASK, __ATOMIC_RELAXED);
    return BLOCKS_DONE;
}

uint32_t outrider_heap_blocks_count(void) {
    return atomic_load_explicit(&live, memory_order_relaxed);
}

void outrider_heap_blocks_lock_all(void) { held_for_fork = lock_all(); }

void outrider_heap_blocks_unlock_all(void) { unlock(held_for_fork); }

/* --- sites ------------------------------------------------------------------------------------ */

static void change_site(node *of, const uint32_t *changed, uint32_t count) {
    if (of->site >= count || !changed[of->site]) return;
    uint32_t site = changed[of->site] - 1;
    int64_t objects = (int64_t)of->objects, bytes = (int64_t)sampled_bytes(of->objects, of->size);
    outrider_heap_sites_add_live(of->site, -objects, -bytes);
    outrider_heap_sites_add_live(site, objects, bytes);
    of->site = site;
}

void outrider_heap_blocks_change_sites(const uint32_t *changed, uint32_t count) {
    for (uint32_t stripe = 0; nodes && stripe < STRIPES; stripe++) {
        bool is_held = false;
        for (int tries = 0; tries < TRIES && !is_held; tries++) is_held = lock_take(&stripes[stripe]);
        if (!is_held) continue;
        for (uint32_t bucket = stripe; bucket < BUCKETS; bucket += STRIPES)
            for (uint32_t at = buckets[bucket]; at; at = nodes[at - 1].next)
                change_site(&nodes[at - 1], changed, count);
        lock_release(&stripes[stripe]);
    }
}

/* --- copies ----------------------------------------------------------------------------------- */

/* Reads the first word of each block. The lock keeps blocks from being freed, except without our
 * hooks, so they are read as memory that may be unmapped; first_word stays 0 in that case. */
static void read_first_words(outrider_heap_live *blocks, size_t count) {
    for (outrider_heap_live *block = blocks; block < blocks + count; block++) {
        uintptr_t word;
        if (block->size >= sizeof word && outrider_stack_read_memory(block->address, &word, sizeof word))
            block->first_word = word;
    }
}

size_t outrider_heap_copy_live(outrider_heap_live *into, size_t capacity, uint32_t *skipped) {
    size_t found = 0;
    int waits = READER_WAITS;
    *skipped = 0;
    for (uint32_t stripe = 0; nodes && stripe < STRIPES; stripe++) {
        if (!lock_take_within(&stripes[stripe], &waits)) {
            ++*skipped;
            continue;
        }
        size_t first = found;
        for (uint32_t bucket = stripe; bucket < BUCKETS; bucket += STRIPES) {
            for (uint32_t at = buckets[bucket]; at; at = nodes[at - 1].next, found++) {
                if (found >= capacity) continue;
                const node *from = &nodes[at - 1];
                into[found] = (outrider_heap_live){
                    from->address, from->size, from->objects, 0, from->site, 0};
            }
        }
        size_t last = found < capacity ? found : capacity;
        if (last > first) read_first_words(into + first, last - first);
        lock_release(&stripes[stripe]);
    }
    return found;
}
#endif
