/* SPDX-License-Identifier: Apache-2.0
 * The sampled blocks that have not been freed, and a filter that lets every other free pass.
 *
 * The filter is an array of counters, found by a hash of the address; free reads one of them. No block's
 * address, size or content changes because it is sampled. What the filter does not let pass is looked for
 * in a chained table behind 64 locks.
 */
#ifndef OUTRIDER_HEAP_BLOCKS_H
#define OUTRIDER_HEAP_BLOCKS_H

#include "outrider_heap.h"

#include <stdbool.h>
#include <stdint.h>

/* The hash: the upper 20 of the 32 low bits of the address times this. hooks.c spells it in assembly. */
#define FILTER_FACTOR 0x9e3779b1u
#define FILTER_SHIFT 12
/* Counters of the filter at first, and once more than 3 % of those are taken. */
#define FILTER_SMALL_MASK 0xffffu
#define FILTER_LARGE_MASK 0xfffffu
/* Live samples that the table holds; at 512 KiB each they stand for 32 GiB. */
#define BLOCK_LIMIT 65536u

extern uint8_t outrider_heap_filter[FILTER_LARGE_MASK + 1];
extern uint32_t outrider_heap_filter_mask;

static inline uint32_t filter_hash(const void *block) {
    return (uint32_t)(uintptr_t)block * FILTER_FACTOR >> FILTER_SHIFT;
}

/* Whether free has to look at a block more closely. */
static inline bool filter_stops(const void *block) {
    uint32_t mask = __atomic_load_n(&outrider_heap_filter_mask, __ATOMIC_RELAXED);
    return __atomic_load_n(&outrider_heap_filter[filter_hash(block) & mask], __ATOMIC_RELAXED) != 0;
}

/* What is remembered of a sampled block. */
typedef struct {
    uint64_t size;
    uint64_t objects; /* shifted by OUTRIDER_HEAP_OBJECT_SHIFT */
    uint32_t site;
} sampled_block;

/* The bytes that so many blocks of a size have; objects are shifted. */
static inline uint64_t sampled_bytes(uint64_t objects, uint64_t size) {
    __extension__ unsigned __int128 product = (unsigned __int128)objects * size;
    return (uint64_t)(product >> OUTRIDER_HEAP_OBJECT_SHIFT);
}

typedef enum { BLOCKS_DONE, BLOCKS_NONE, BLOCKS_FULL, BLOCKS_BUSY } blocks_result;

/* Maps the table's memory; false if there is none. Once, before anything is inserted. */
bool outrider_heap_blocks_prepare(void);
/* Remembers a block that nobody but the caller knows yet. A stale one at its address, which was freed
 * behind our back, is put into `stale`, whose `objects` are 0 if there was none. */
blocks_result outrider_heap_blocks_insert(
    const void *block, sampled_block sample, sampled_block *stale);
/* Takes a block out, before it is freed. */
blocks_result outrider_heap_blocks_take(const void *block, sampled_block *sample);
/* Makes the filter stop a block for ever. */
void outrider_heap_mark(const void *block);
/* Gives the blocks of some sites to other ones, with what they hold: those of site N to `changed[N]` - 1, unless
 * that is 0. `changed` has a word for each of `count` sites. */
void outrider_heap_blocks_change_sites(const uint32_t *changed, uint32_t count);
/* Live samples now. */
uint32_t outrider_heap_blocks_count(void);

/* Takes all locks before a fork, and lets go of those that it got. */
void outrider_heap_blocks_lock_all(void);
void outrider_heap_blocks_unlock_all(void);

#endif
