/* SPDX-License-Identifier: Apache-2.0
 * What a sample costs the thread that takes it, in nanoseconds.
 *
 * Measured when sampling is switched on, not at each sample: a clock that is fine enough is a system call on some
 * machines.
 */
#ifndef OUTRIDER_HEAP_COST_H
#define OUTRIDER_HEAP_COST_H

#include "hooked.h"

#include <stddef.h>
#include <stdint.h>

/* Measures it, in some 50 us; the tables have to be there. */
COLD void outrider_heap_measure_cost(void);

/* The cost of a sample whose stack has so many frames on the thread's stack, and so many contexts of async functions. */
COLD uint64_t outrider_heap_cost_of(size_t frames, size_t contexts);

#endif
