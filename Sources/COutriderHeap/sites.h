/* SPDX-License-Identifier: Apache-2.0
 * The distinct stacks that have allocated, with their totals. */
#ifndef OUTRIDER_HEAP_SITES_H
#define OUTRIDER_HEAP_SITES_H

#include "outrider_heap.h"

#include <stdbool.h>

/* Maximum number of distinct stacks, and of words for their addresses. Beyond either, samples count
 * at site 0. Together at most 9 MiB of memory. */
#define SITE_LIMIT 16384u
#define SITE_WORDS (1u << 20)

/* Maps the memory; false if memory is short. Call it once, before any lookup. */
bool outrider_heap_sites_prepare(void);
/* The number of a stack; 0 if it does not fit. Lock-free. */
uint32_t outrider_heap_sites_find(const uintptr_t *pcs, uint32_t depth, bool is_truncated);
/* Adds to the totals of a site; live totals may decrease. */
void outrider_heap_sites_add_allocated(uint32_t site, uint64_t objects, uint64_t bytes);
void outrider_heap_sites_add_live(uint32_t site, int64_t objects, int64_t bytes);
/* Moves the allocation totals of a site to another one. */
void outrider_heap_sites_give_allocated(uint32_t from, uint32_t to);
/* Moves the stacks with addresses in [start, end) to addresses shifted by to - start, with their
 * allocated and live totals. The old stacks stay without totals, for the next library there.
 * Returns how many stacks did not fit: they are at site 0. One caller at a time. */
uint32_t outrider_heap_sites_move(uintptr_t start, uintptr_t end, uintptr_t to);

#endif
