/* SPDX-License-Identifier: Apache-2.0
 * Every stack that has allocated, once, with its sums. */
#ifndef OUTRIDER_HEAP_SITES_H
#define OUTRIDER_HEAP_SITES_H

#include "outrider_heap.h"

#include <stdbool.h>

/* Different stacks that are told apart, and the words for their addresses. Past either, what is
 * sampled counts at site 0. Together 9 MiB of memory at most. */
#define SITE_LIMIT 16384u
#define SITE_WORDS (1u << 20)

/* Maps the memory; false if there is none. Once, before anything is looked for. */
bool outrider_heap_sites_prepare(void);
/* The number of a stack; 0 if there is no room for it. Lock-free. */
uint32_t outrider_heap_sites_find(const uintptr_t *pcs, uint32_t depth, bool is_truncated);
/* Adds to the sums of a site; what is live may go down. */
void outrider_heap_sites_add_allocated(uint32_t site, uint64_t objects, uint64_t bytes);
void outrider_heap_sites_add_live(uint32_t site, int64_t objects, int64_t bytes);
/* Adds what a site has allocated to another one, and takes it from the first. */
void outrider_heap_sites_give_allocated(uint32_t from, uint32_t to);
/* Puts the stacks through the addresses of [start, end) to where those move, to - start further, with all that
 * they have allocated and that is in use. The old stacks stay without sums, for the next library there. Returns how
 * many stacks there was no room for: they are at site 0. One caller at a time. */
uint32_t outrider_heap_sites_move(uintptr_t start, uintptr_t end, uintptr_t to);

#endif
