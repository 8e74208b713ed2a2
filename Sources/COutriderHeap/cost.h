/* SPDX-License-Identifier: Apache-2.0
 * The cost of a sample to the thread that takes it, in nanoseconds.
 *
 * Measured when sampling is switched on, not at each sample, because a precise clock requires a
 * system call on some machines.
 */
#ifndef OUTRIDER_HEAP_COST_H
#define OUTRIDER_HEAP_COST_H

#include "hooked.h"

#include <stddef.h>
#include <stdint.h>

/* Measures the cost, in some 50 us; the tables must exist. */
COLD void outrider_heap_measure_cost(void);

/* The cost of a sample with so many frames on the thread's stack and so many async contexts. */
COLD uint64_t outrider_heap_cost_of(size_t frames, size_t contexts);

#endif
