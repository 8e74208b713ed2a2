/* SPDX-License-Identifier: Apache-2.0
 * Declarations shared by the files that build and read unwind tables; internal to this target.
 *
 * eh_frame.c finds the entries of a module's .eh_frame, cfa_program.c runs their programs,
 * row_table.c packs the resulting rows, and tables.c keeps track of modules.
 *
 * A row stores only what leads to the caller and the next frame pointer, in 4 bytes. A walk does
 * not need the other registers that .eh_frame restores.
 */
#ifndef OUTRIDER_TABLES_H
#define OUTRIDER_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bases of a canonical frame address (CFA). */
enum {
    OUTRIDER_UNWIND_STOP = 0,      /* unknown, or not expressible here */
    OUTRIDER_UNWIND_SP = 1,        /* from the stack pointer */
    OUTRIDER_UNWIND_FP = 2,        /* from the frame-pointer register */
    OUTRIDER_UNWIND_OUTERMOST = 3, /* there is no caller */
};

/* The rule for leaving a frame. All zero is "stop". */
typedef struct {
    uint16_t words; /* from the base up to the CFA, just below which is the return address */
    uint8_t base;
    uint8_t saved; /* words from the CFA down to the caller's frame pointer; 0: in its register */
} outrider_unwind_rule;

/* A rule that applies from an offset in its block. */
typedef struct {
    uint16_t offset; /* in the block */
    uint16_t rule;
} outrider_unwind_row;

/* Bytes of text per element of the index, as a power of two. */
#define OUTRIDER_UNWIND_BLOCK_BITS 8

/* The rows of a module, immutable. One mapping holds the three arrays after the header.
 *
 * Row 0 is a stop outside all blocks. The rows of block n are index[n] to index[n + 1]; before the
 * first of them, the last row of an earlier block applies.
 */
typedef struct {
    const uint32_t *index;
    const outrider_unwind_row *rows;
    const outrider_unwind_rule *rules;
    size_t span;  /* bytes of text */
    size_t bytes; /* of this mapping */
    uint32_t row_count;
    uint32_t rule_count;
    uint64_t fingerprint; /* of the input that it was built from */
} outrider_unwind_table;

/* A module as input of the parser: its bytes, and the addresses at which its code refers to them.
 *
 * The two differ only in tests, which parse a copy.
 */
typedef struct {
    const uint8_t *bytes; /* the segment with .eh_frame_hdr and .eh_frame */
    size_t length;
    uint64_t address;     /* of the first byte */
    uint64_t header;      /* the address of .eh_frame_hdr */
    uint64_t header_size;
    uint64_t text; /* start of the module's code */
    uint64_t text_size;
} outrider_eh_image;

/* A cursor over untrusted bytes: a read past the end returns 0 and sets `bad` permanently. */
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
    uint64_t address; /* of `at` */
    bool bad;
} outrider_eh_cursor;

/* The content of an entry and its common part, ready to run. */
typedef struct {
    uint64_t code_factor;
    int64_t data_factor;
    uint8_t encoding;         /* of its code addresses */
    bool augmented;           /* the entry has augmentation data */
    outrider_eh_cursor first; /* the common program */
    outrider_eh_cursor then;  /* the entry's program */
    uint64_t start;
    uint64_t end;
} outrider_eh_entry;

/* The memory in which rows are collected; it is unmapped once the table is built. */
typedef struct outrider_unwind_rows outrider_unwind_rows;

/* Reads an unsigned number of `size` bytes, 1 to 8, in native byte order. */
uint64_t outrider_eh_take(outrider_eh_cursor *cursor, size_t size);

/* Reads an unsigned LEB128 number; more than 10 bytes are bad. */
uint64_t outrider_eh_take_uleb(outrider_eh_cursor *cursor);

/* Reads a signed LEB128 number. */
int64_t outrider_eh_take_sleb(outrider_eh_cursor *cursor);

/* Skips `count` bytes. */
void outrider_eh_skip(outrider_eh_cursor *cursor, uint64_t count);

/* Reads a pointer in one of the encodings DW_EH_PE_*. `data` is the base of data-relative pointers.
 * An encoding that is unknown or indirect is bad. */
uint64_t outrider_eh_take_pointer(outrider_eh_cursor *cursor, uint8_t encoding, uint64_t data);

/* Adds the rows of all entries listed by .eh_frame_hdr. Returns whether there is such a list. */
bool outrider_eh_read(const outrider_eh_image *image, outrider_unwind_rows *rows);

/* Runs an entry's programs and adds its rows; row offsets are relative to `text`. Where a program
 * becomes unsupported, its rows are stops. Deducts the instructions from `*budget`. */
void outrider_eh_run(
    const outrider_eh_entry *entry, uint64_t text, outrider_unwind_rows *rows, uint64_t *budget);

/* Adds a rule that applies from `offset`, which is in the module's text or at its end. An offset
 * that is not past the last one replaces it. */
void outrider_unwind_add(outrider_unwind_rows *rows, uint64_t offset, outrider_unwind_rule rule);

/* Builds the table of a module; NULL if it has no list of entries, exceeds the limits, or memory is
 * short. Maps memory, does not call malloc. */
const outrider_unwind_table *outrider_unwind_build(const outrider_eh_image *image);

/* Unmaps a table that has not been published. */
void outrider_unwind_discard(const outrider_unwind_table *table);

/* A hash of a table's input, independent of the load address. */
uint64_t outrider_unwind_fingerprint(const outrider_eh_image *image);

/* The rule for the byte of text at `offset`, which must be less than the span. */
static inline outrider_unwind_rule outrider_unwind_find(
    const outrider_unwind_table *table, size_t offset) {
    const uint32_t *block = table->index + (offset >> OUTRIDER_UNWIND_BLOCK_BITS);
    uint32_t in_block = offset & ((1U << OUTRIDER_UNWIND_BLOCK_BITS) - 1);
    uint32_t count = block[1] - block[0];
    const outrider_unwind_row *row = table->rows + block[0] - 1;
    /* The result is one of row[0] to row[count]. A mask replaces a branch that would be
     * mispredicted every other time; if the upper half is ruled out, one row of it may be compared
     * again. */
    while (count > 0) {
        uint32_t half = (count + 1) / 2;
        row += half & (0U - (uint32_t)(row[half].offset <= in_block));
        count -= half;
    }
    return table->rules[row->rule];
}

#endif
