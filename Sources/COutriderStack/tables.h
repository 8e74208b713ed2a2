/* SPDX-License-Identifier: Apache-2.0
 * What the files that make and read unwind tables share; nobody outside of this target sees it.
 *
 * eh_frame.c finds the entries of a module's .eh_frame, cfa_program.c runs their programs,
 * row_table.c packs the rows that come out of that, and tables.c knows which modules there are.
 *
 * What is kept of a row is what leads to the caller and the next frame pointer: 4 bytes a row. The
 * other registers that .eh_frame restores are of no use to a walk.
 */
#ifndef OUTRIDER_TABLES_H
#define OUTRIDER_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bases that a canonical frame address (CFA) is counted from. */
enum {
    OUTRIDER_UNWIND_STOP = 0,      /* it cannot be told, or cannot be expressed here */
    OUTRIDER_UNWIND_SP = 1,        /* from the stack pointer */
    OUTRIDER_UNWIND_FP = 2,        /* from the frame-pointer register */
    OUTRIDER_UNWIND_OUTERMOST = 3, /* there is no caller */
};

/* How to leave a frame. All zero is "stop". */
typedef struct {
    uint16_t words; /* from the base up to the CFA, just below which is the return address */
    uint8_t base;
    uint8_t saved; /* words from the CFA down to the caller's frame pointer; 0: in its register */
} outrider_unwind_rule;

/* From this place in its block on, a rule holds. */
typedef struct {
    uint16_t place;
    uint16_t rule;
} outrider_unwind_row;

/* Bytes of text that one word of the index stands for, as a power of two. */
#define OUTRIDER_UNWIND_BLOCK_BITS 8

/* The rows of a module, which never change. One mapping with the three arrays behind the header.
 *
 * Row 0 is a stop in no block. The rows of block n are index[n] up to index[n + 1]; before the
 * first of them the last row of an earlier block holds.
 */
typedef struct {
    const uint32_t *index;
    const outrider_unwind_row *rows;
    const outrider_unwind_rule *rules;
    size_t span;  /* bytes of text */
    size_t bytes; /* of this mapping */
    uint32_t row_count;
    uint32_t rule_count;
    uint64_t fingerprint; /* of what it was made from */
} outrider_unwind_table;

/* A module as the parser sees it: its bytes, and the addresses that they are at for its code.
 *
 * The two differ only in tests, which parse a copy.
 */
typedef struct {
    const uint8_t *bytes; /* the segment with .eh_frame_hdr and .eh_frame */
    size_t length;
    uint64_t address;     /* of the first byte */
    uint64_t header;      /* the address of .eh_frame_hdr */
    uint64_t header_size;
    uint64_t text; /* where the module's code begins */
    uint64_t text_size;
} outrider_eh_image;

/* A place in bytes that are not trusted: a read past the end gives 0 and sets `bad` for good. */
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
    uint64_t address; /* of `at` */
    bool bad;
} outrider_eh_cursor;

/* What an entry and its common part say, ready to be run. */
typedef struct {
    uint64_t code_factor;
    int64_t data_factor;
    uint8_t encoding;         /* of its code addresses */
    bool augmented;           /* the entry has augmentation data */
    outrider_eh_cursor first; /* the common program */
    outrider_eh_cursor then;  /* the entry's own */
    uint64_t start;
    uint64_t end;
} outrider_eh_entry;

/* Where rows are gathered: memory that is given back as soon as a table was made. */
typedef struct outrider_unwind_rows outrider_unwind_rows;

/* Takes the next unsigned number of `size` bytes, 1 to 8, in the machine's order. */
uint64_t outrider_eh_take(outrider_eh_cursor *cursor, size_t size);

/* Takes the next LEB128 number, unsigned; one of more than 10 bytes is bad. */
uint64_t outrider_eh_take_uleb(outrider_eh_cursor *cursor);

/* Takes the next LEB128 number, signed. */
int64_t outrider_eh_take_sleb(outrider_eh_cursor *cursor);

/* Leaves out `count` bytes. */
void outrider_eh_skip(outrider_eh_cursor *cursor, uint64_t count);

/* Takes a pointer in one of the encodings DW_EH_PE_*. `data` is what data-relative ones count from.
 * An encoding that is not known, or that would have to be looked up in memory, is bad. */
uint64_t outrider_eh_take_pointer(outrider_eh_cursor *cursor, uint8_t encoding, uint64_t data);

/* Adds the rows of all entries that .eh_frame_hdr lists. Returns whether there is such a list. */
bool outrider_eh_read(const outrider_eh_image *image, outrider_unwind_rows *rows);

/* Runs an entry's programs and adds its rows; `text` is the address that rows are counted from.
 * From where a program cannot be followed, its rows are stops. Takes what it did off `*budget`. */
void outrider_eh_run(
    const outrider_eh_entry *entry, uint64_t text, outrider_unwind_rows *rows, uint64_t *budget);

/* Says that a rule holds from `offset` on, which is in the module's text or its end. An offset that
 * is not past the last one replaces it. */
void outrider_unwind_add(outrider_unwind_rows *rows, uint64_t offset, outrider_unwind_rule rule);

/* Makes the table of a module. NULL if it has no list of entries, it is larger than the bounds, or
 * memory is short. Maps memory, does not call malloc. */
const outrider_unwind_table *outrider_unwind_build(const outrider_eh_image *image);

/* Unmaps a table that nobody has seen yet. */
void outrider_unwind_discard(const outrider_unwind_table *table);

/* A number for what a table is made from, the same wherever the module is loaded. */
uint64_t outrider_unwind_fingerprint(const outrider_eh_image *image);

/* The rule for the byte of text at `offset`, which must be less than the span. */
static inline outrider_unwind_rule outrider_unwind_find(
    const outrider_unwind_table *table, size_t offset) {
    const uint32_t *block = table->index + (offset >> OUTRIDER_UNWIND_BLOCK_BITS);
    uint32_t place = offset & ((1U << OUTRIDER_UNWIND_BLOCK_BITS) - 1);
    uint32_t count = block[1] - block[0];
    const outrider_unwind_row *row = table->rows + block[0] - 1;
    /* It is one of row[0] to row[count]. A mask instead of a branch, which would be guessed wrong
     * every other time; where the upper half is ruled out, one row of it may be seen again. */
    while (count > 0) {
        uint32_t half = (count + 1) / 2;
        row += half & (0U - (uint32_t)(row[half].place <= place));
        count -= half;
    }
    return table->rules[row->rule];
}

#endif
