/* SPDX-License-Identifier: Apache-2.0
 * The sampled blocks that have not been freed, and a filter that lets all other frees pass.
 *
 * The filter is an array of counters, indexed by a hash of the address; free reads one of them.
 * Sampling never changes a block's address, size or content. A free that the filter stops is looked
 * up in a chained table behind 64 locks.
 */
#ifndef OUTRIDER_HEAP_BLOCKS_H
#define OUTRIDER_HEAP_BLOCKS_H

#include "outrider_heap.h"

#include <stdbool.h>
#include <stdint.h>

/* The hash: the upper 20 of the 32 low bits of the address times this. hooks.c repeats it in
 * assembly. */
#define FILTER_FACTOR 0x9e3779b1u
#define FILTER_SHIFT 12
/* Masks of the small filter, and of the large one, used once more than 3 % of the small one is
 * taken. */
#define FILTER_SMALL_MASK 0xffffu
#define FILTER_LARGE_MASK 0xfffffu
/* Maximum number of live samples; at 512 KiB each they represent 32 GiB. */
#define BLOCK_LIMIT 65536u

extern uint8_t outrider_heap_filter[FILTER_LARGE_MASK + 1];
extern uint32_t outrider_heap_filter_mask;

static inline uint32_t filter_hash(const void *block) {
    return (uint32_t)(uintptr_t)block * FILTER_FACTOR >> FILTER_SHIFT;
}

/* Whether free has to look a block up in the table. */
static inline bool may_be_sampled(const void *block) {
    uint32_t mask = __atomic_load_n(&outrider_heap_filter_mask, __ATOMIC_RELAXED);
    return __atomic_load_n(&outrider_heap_filter[filter_hash(block) & mask], __ATOMIC_RELAXED) != 0;
}

/* The record of a sampled block. */
typedef struct {
    uint64_t size;
    uint64_t objects; /* shifted by OUTRIDER_HEAP_OBJECT_SHIFT */
    uint32_t site;
} sampled_block;

/* The size of so many blocks, in bytes; objects are shifted. */
static inline uint64_t sampled_bytes(uint64_t objects, uint64_t size) {
    __extension__ unsigned __int128 product = (unsigned __int128)objects * size;
    return (uint64_t)(product >> OUTRIDER_HEAP_OBJECT_SHIFT);
}

typedef enum { BLOCKS_DONE, BLOCKS_NONE, BLOCKS_FULL, BLOCKS_BUSY } blocks_result;

/* Maps the table's memory; false if memory is short. Call it once, before any insertion. */
bool outrider_heap_blocks_prepare(void);
/* Records a block that only the caller knows yet. Returns a stale record of the same address, left
 * by a free without our hooks, in `stale`; its `objects` are 0 if there was none. */
blocks_result outrider_heap_blocks_insert(
    const void *block, sampled_block sample, sampled_block *stale);
/* Removes a block, before it is freed. */
blocks_result outrider_heap_blocks_take(const void *block, sampled_block *sample);
/* Makes the filter stop a block forever. */
void outrider_heap_filter_add(const void *block);
/* Reassigns the blocks of sites, with their totals: those of site N to `changed[N]` - 1, unless
 * `changed[N]` is 0. `changed` has `count` elements. */
void outrider_heap_blocks_change_sites(const uint32_t *changed, uint32_t count);
/* Number of live samples. */
uint32_t outrider_heap_blocks_count(void);

/* Takes all locks before a fork, as far as possible; the second function releases those it took. */
void outrider_heap_blocks_lock_all(void);
void outrider_heap_blocks_unlock_all(void);

#endif
