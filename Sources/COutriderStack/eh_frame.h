/* SPDX-License-Identifier: Apache-2.0
 * From .eh_frame to rows of eight bytes. */
#ifndef OUTRIDER_STACK_EH_FRAME_H
#define OUTRIDER_STACK_EH_FRAME_H

#include <stddef.h>
#include <stdint.h>

/* From a place in the code on: how a frame is left. */
typedef struct {
    uint32_t place; /* bytes behind the module's lowest address */
    uint16_t cfa;   /* how the canonical frame address is found, see below */
    int16_t fp;     /* the saved frame pointer lies this many words below it; 0: it was not saved */
} unwind_row;

/* The top bit of `cfa` says whether to count from the frame pointer or the stack pointer; the others are
 * words. The return address always lies one word below the canonical frame address. */
#define CFA_FROM_FP 0x8000u
#define CFA_WORDS 0x7fffu
/* Nobody can tell how to go on here; or there is nowhere to go. */
#define CFA_UNKNOWN 0xffffu
#define CFA_OUTERMOST 0xfffeu

/* The memory in which unwind information lies, and may be read. */
typedef struct {
    const uint8_t *start;
    const uint8_t *end;
} unwind_memory;

/* Writes the rows of a module, sorted by place, `capacity` at most, and returns their number; 0 where the
 * information is of a kind that nobody writes for this machine. `header` is what PT_GNU_EH_FRAME points
 * at, `base` the module's lowest address. Whatever the bytes are, nothing outside of `memory` is read. */
size_t outrider_stack_read_eh_frame(
    unwind_memory memory, const uint8_t *header, uintptr_t base, unwind_row *rows, size_t capacity);
/* The number of functions that the header lists; rows are seldom more than sixteen times that. */
size_t outrider_stack_eh_frame_functions(unwind_memory memory, const uint8_t *header);

#endif
