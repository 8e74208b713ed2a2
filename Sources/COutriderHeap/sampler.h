/* SPDX-License-Identifier: Apache-2.0
 * What the hooks call: the countdown of each thread, and what happens at its end.
 *
 * A thread counts the bytes that it asks for down from a random gap. Where they run out, that
 * allocation is a sample. Each call counts for one byte more than was asked for, so that empty ones
 * are seen too; the weight takes that into account. A gap is told to the thread in parts of 1 MiB, so that it
 * notices soon that sampling was switched on or off or has another interval. Zero, as every thread
 * starts, is the end of a gap that was never drawn: no thread has to be registered.
 */
#ifndef OUTRIDER_HEAP_SAMPLER_H
#define OUTRIDER_HEAP_SAMPLER_H

#include "hooked.h"

#include "outrider_stack.h"

#include <stdbool.h>
#include <stdint.h>

/* Longest part of a gap: after this many bytes a thread looks at the settings again. */
#define GAP_PART ((uint64_t)1 << 20)

/* The calling thread's bytes to the end of this part of its gap. hooks.c counts down in assembly. */
extern __thread uint64_t outrider_heap_left __attribute__((tls_model("initial-exec"))) HIDDEN;

/* The point in a hook's caller where the walk starts; to be used in the hook itself. */
#define CALLER_POINT()                                                       \
    (outrider_stack_point) {                                                 \
        ((uintptr_t *)__builtin_frame_address(0))[1],                        \
            (uintptr_t)__builtin_frame_address(0) + 16,                      \
            ((uintptr_t *)__builtin_frame_address(0))[0]                     \
    }

/* Judges a call whose bytes went past the end of a part: the mean of the gap if it is a sample, else 0.
 * `counted` is what was taken off `outrider_heap_left`, which has wrapped. */
COLD uint64_t outrider_heap_end_part(uint64_t counted);

/* Counts a call of `size` bytes; the mean of the gap if it is a sample, else 0. */
static inline uint64_t outrider_heap_count(uint64_t size) {
    uint64_t counted = size + 1, left = outrider_heap_left;
    outrider_heap_left = left - counted;
    return UNLIKELY(left < counted) ? outrider_heap_end_part(counted) : 0;
}

/* Whether the process' calls of malloc come to our hook: another one may stand before it. Takes the loader's
 * lock, and allocates a block and frees it. */
COLD bool outrider_heap_is_called(void);

/* What a sample stands for besides a new block. */
typedef enum {
    NEW_BLOCK,
    GROWN_IN_PLACE, /* no new object, and only its growth was allocated */
} sample_kind;

/* Remembers a sampled block, which nobody else knows yet.
 *
 * `mean` is what outrider_heap_count returned; `grown` the bytes that count as allocated. Keeps errno. */
COLD void outrider_heap_sample(
    void *block, uint64_t size, uint64_t grown, sample_kind kind, uint64_t mean,
    outrider_stack_point caller);

/* Counts a stack that the table had no room for. */
COLD void outrider_heap_count_refused_site(void);

/* Forgets a block that is about to be freed, if it was sampled; whether it was. */
COLD bool outrider_heap_forget(const void *block);

/* What a realloc takes out first, and puts back when it fails. */
typedef struct {
    uint64_t size;
    uint64_t objects;
    uint32_t site;
} forgotten_block;
COLD bool outrider_heap_lift(const void *block, forgotten_block *lifted);
COLD void outrider_heap_put_back(const void *block, forgotten_block lifted);

#endif
