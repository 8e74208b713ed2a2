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

#endif
