/* SPDX-License-Identifier: Apache-2.0
 * The table of stacks.
 *
 * Open addressing over site numbers. A site is written once, published by a compare-and-swap of its
 * number into the index, and never removed. So no thread waits, not even a hook in a signal
 * handler. Two threads that add the same new stack at the same time both write it; one of the two
 * sites stays without totals, which readers ignore.
 */
#define _GNU_SOURCE
#include "hooked.h"

#if OUTRIDER_HEAP_TABLES
#include "sites.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

enum { INDEX_SIZE = 2 * SITE_LIMIT };

typedef struct {
    uint64_t hash;
    const uintptr_t *_Atomic pcs; /* NULL until the site is written */
    uint32_t depth;
    uint32_t is_truncated;
    _Atomic(uint64_t) allocated_objects;
    _Atomic(uint64_t) allocated_bytes;
    _Atomic(uint64_t) live_objects;
    _Atomic(uint64_t) live_bytes;
} __attribute__((aligned(64))) site;

static site *sites;
static uintptr_t *words;
static _Atomic(uint32_t) site_count;
static _Atomic(uint32_t) word_count;
static _Atomic(uint32_t) site_index[INDEX_SIZE];

static void *map_pages(size_t size) {
    void *memory = mmap(
        NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

bool outrider_heap_sites_prepare(void) {
    if (!words) words = map_pages(SITE_WORDS * sizeof(uintptr_t));
    if (!words) return false;
    if (!sites) {
        sites = map_pages(SITE_LIMIT * sizeof(site));
        if (!sites) return false;
        atomic_store_explicit(&sites[0].pcs, words, memory_order_relaxed);
        atomic_store(&site_count, 1);
    }
    return true;
}

static uint64_t hash_of(const uintptr_t *pcs, uint32_t depth) {
    uint64_t hash = depth;
    for (uint32_t i = 0; i < depth; i++) {
        hash = (hash ^ pcs[i]) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    return hash;
}

/* Reserves `count` elements of an array that ends at `limit`; false if they do not fit. */
static bool reserve(_Atomic(uint32_t) *used, uint32_t count, uint32_t limit, uint32_t *at) {
    *at = atomic_load_explicit(used, memory_order_relaxed);
    do {
        if (*at > limit - count) return false;
    } while (!atomic_compare_exchange_weak_explicit(
        used, at, *at + count, memory_order_relaxed, memory_order_relaxed));
    return true;
}

static uint32_t write_site(uint64_t hash, const uintptr_t *pcs, uint32_t depth, bool is_truncated) {
    uint32_t index, at;
    if (!reserve(&word_count, depth, SITE_WORDS, &at)) return 0;
    if (!reserve(&site_count, 1, SITE_LIMIT, &index)) return 0;
    memcpy(&words[at], pcs, depth * sizeof *pcs);
    sites[index].hash = hash;
    sites[index].depth = depth;
    sites[index].is_truncated = is_truncated;
    /* ORDERING: release; a thread that sees the addresses sees the rest. */
    atomic_store_explicit(&sites[index].pcs, &words[at], memory_order_release);
    return index;
}

static bool is_same(const site *known, uint64_t hash, const uintptr_t *pcs, uint32_t depth) {
    return known->hash == hash && known->depth == depth
        && memcmp(atomic_load_explicit(&known->pcs, memory_order_relaxed), pcs, depth * sizeof *pcs)
        == 0;
}

uint32_t outrider_heap_sites_find(const uintptr_t *pcs, uint32_t depth, bool is_truncated) {
    uint64_t hash = hash_of(pcs, depth);
    uint32_t written = 0;
    for (uint32_t probe = 0; probe < INDEX_SIZE; probe++) {
        _Atomic(uint32_t) *entry = &site_index[(hash + probe) % INDEX_SIZE];
        /* ORDERING: acquire pairs with the swap below, so that the whole site is visible. */
        uint32_t index = atomic_load_explicit(entry, memory_order_acquire);
        if (index == 0) {
            if (!written) written = write_site(hash, pcs, depth, is_truncated);
            if (!written) return 0;
            if (atomic_compare_exchange_strong_explicit(
                    entry, &index, written, memory_order_acq_rel, memory_order_acquire))
                return written;
        }
        if (is_same(&sites[index], hash, pcs, depth)) return index;
    }
    return 0;
}

/* ORDERING: relaxed for all totals: they publish nothing, and readers get no consistent order. */

void outrider_heap_sites_add_allocated(uint32_t index, uint64_t objects, uint64_t bytes) {
    atomic_fetch_add_explicit(&sites[index].allocated_objects, objects, memory_order_relaxed);
    atomic_fetch_add_explicit(&sites[index].allocated_bytes, bytes, memory_order_relaxed);
}

void outrider_heap_sites_add_live(uint32_t index, int64_t objects, int64_t bytes) {
    atomic_fetch_add_explicit(&sites[index].live_objects, (uint64_t)objects, memory_order_relaxed);
    atomic_fetch_add_explicit(&sites[index].live_bytes, (uint64_t)bytes, memory_order_relaxed);
}

void outrider_heap_sites_give_allocated(uint32_t from, uint32_t to) {
    outrider_heap_sites_add_allocated(
        to, atomic_exchange_explicit(&sites[from].allocated_objects, 0, memory_order_relaxed),
        atomic_exchange_explicit(&sites[from].allocated_bytes, 0, memory_order_relaxed));
}

uint32_t outrider_heap_site_count(void) {
    return atomic_load_explicit(&site_count, memory_order_acquire);
}

int outrider_heap_read_site(uint32_t index, outrider_heap_site *into) {
    if (index >= outrider_heap_site_count()) return 0;
    const site *from = &sites[index];
    const uintptr_t *pcs = atomic_load_explicit(&from->pcs, memory_order_acquire);
    if (!pcs) return 0;
    *into = (outrider_heap_site){
        pcs,
        from->depth,
        from->is_truncated,
        atomic_load_explicit(&from->allocated_objects, memory_order_relaxed),
        atomic_load_explicit(&from->allocated_bytes, memory_order_relaxed),
        atomic_load_explicit(&from->live_objects, memory_order_relaxed),
        atomic_load_explicit(&from->live_bytes, memory_order_relaxed),
    };
    return 1;
}
#endif
