/* SPDX-License-Identifier: Apache-2.0
 * The interface to the hooks: the countdown of each thread, and sampling at its end.
 *
 * A thread counts the bytes that it requests down from a random gap. The allocation that reaches
 * the end is a sample. Each call counts for one byte more than requested, so that empty allocations
 * are sampled too; the weight takes that into account. A thread gets its gap in parts of 1 MiB, so
 * that it soon notices changes of the interval, and sampling being switched on or off. Zero, the
 * initial value in every thread, is the end of a gap that was never drawn, so threads need no
 * registration.
 */
#ifndef OUTRIDER_HEAP_SAMPLER_H
#define OUTRIDER_HEAP_SAMPLER_H

#include "hooked.h"

#include "outrider_stack.h"

#include <stdbool.h>
#include <stdint.h>

/* The longest countdown: after this many bytes a thread reads the settings again. */
#define MAX_COUNTDOWN ((uint64_t)1 << 20)

/* The calling thread's bytes to the end of this part of its gap. hooks.c decrements it in
 * assembly. */
extern __thread uint64_t outrider_heap_countdown __attribute__((tls_model("initial-exec"))) HIDDEN;

/* The starting point of a walk in a hook's caller; must be used in the hook itself. */
#define CALLER_POINT()                                                       \
    (outrider_stack_point) {                                                 \
        ((uintptr_t *)__builtin_frame_address(0))[1],                        \
            (uintptr_t)__builtin_frame_address(0) + 16,                      \
            ((uintptr_t *)__builtin_frame_address(0))[0]                     \
    }

/* Handles a call that reached the end of a countdown: returns the mean of the gap if it is a
 * sample, else 0. `counted` has been subtracted from `outrider_heap_countdown`, which has
 * wrapped. */
COLD uint64_t outrider_heap_end_countdown(uint64_t counted);

/* Counts a call of `size` bytes; returns the mean of the gap if it is a sample, else 0. */
static inline uint64_t outrider_heap_count(uint64_t size) {
    uint64_t counted = size + 1, left = outrider_heap_countdown;
    outrider_heap_countdown = left - counted;
    return UNLIKELY(left < counted) ? outrider_heap_end_countdown(counted) : 0;
}

/* Whether calls of malloc in this process reach our hook: another one may come before it. Takes the
 * loader's lock, and allocates and frees a block. */
COLD bool outrider_heap_is_called(void);

/* Kinds of samples. */
typedef enum {
    NEW_BLOCK,
    GROWN_IN_PLACE, /* not a new object; only its growth was allocated */
} sample_kind;

/* Records a sampled block that only the caller knows yet.
 *
 * `mean` is the result of outrider_heap_count; `grown` is the number of bytes that count as
 * allocated. Keeps errno. */
COLD void outrider_heap_sample(
    void *block, uint64_t size, uint64_t grown, sample_kind kind, uint64_t mean,
    outrider_stack_point caller);

/* Around each change of the tables by a thread: what a signal handler defers runs at the end of the
 * outermost one (outrider_heap_defer). */
COLD void outrider_heap_enter_tables(void);
COLD void outrider_heap_leave_tables(void);

/* Counts a stack that did not fit into the table. */
COLD void outrider_heap_count_refused_site(void);

/* Forgets a block that is about to be freed, if it was sampled; returns whether it was. */
COLD bool outrider_heap_forget(const void *block);

/* The record that a realloc removes first, and restores if it fails. */
typedef struct {
    uint64_t size;
    uint64_t objects;
    uint32_t site;
} removed_block;
COLD bool outrider_heap_remove(const void *block, removed_block *removed);
COLD void outrider_heap_restore(const void *block, removed_block removed);

#endif
