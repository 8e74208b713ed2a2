/* SPDX-License-Identifier: Apache-2.0
 * Packs the rows of a module into its table.
 *
 * Rows are collected in memory that suffices for the largest module, most of which is never
 * touched; the table is copied to a mapping of its actual size. Three techniques keep it small:
 * adjacent rows with the same rule are merged, a row refers to its rule by index (libc has 300
 * different rules), and the block index lets a row store only its offset within its block.
 */
#define _GNU_SOURCE
#include "tables.h"

#include <string.h>
#include <sys/mman.h>

/* The largest module that gets a table. libc has 1.4 MB of code, 23,000 rows and 300 rules. */
enum {
    most_text = 1 << 26,
    most_rows = 1 << 20,
    most_rules = 1 << 12,
    most_blocks = most_text >> OUTRIDER_UNWIND_BLOCK_BITS,
    hash_slots = most_rules * 2,
};

struct outrider_unwind_rows {
    uint64_t last_offset;
    outrider_unwind_rule last;
    uint16_t written; /* the index of the last rule in `rows` */
    bool overflowed;
    uint32_t row_count;
    uint32_t rule_count;
    uint32_t block_count; /* elements of the index that are filled */
    uint16_t slots[hash_slots]; /* indices of rules by hash; 0 is free */
    outrider_unwind_rule rules[most_rules];
    uint32_t index[most_blocks + 2];
    outrider_unwind_row rows[most_rows];
};

/* The index of a rule, which is added if it is new. The stop is 0. */
static uint16_t number_of(outrider_unwind_rows *rows, outrider_unwind_rule rule) {
    if (rule.base == OUTRIDER_UNWIND_STOP) return 0;
    uint32_t bits;
    memcpy(&bits, &rule, sizeof bits);
    for (uint32_t slot = bits * 0x9E3779B1U / (UINT32_MAX / hash_slots + 1);; slot++) {
        uint16_t *number = &rows->slots[slot % hash_slots];
        if (*number == 0) {
            /* Too many rules: the rest become stops. */
            if (rows->rule_count == most_rules) return 0;
            *number = (uint16_t)rows->rule_count++;
            rows->rules[*number] = rule;
        }
        if (memcmp(&rows->rules[*number], &rule, sizeof rule) == 0) return *number;
    }
}

/* Fills the index up to the block of `offset` with the index of the next row. */
static void begin_blocks(outrider_unwind_rows *rows, uint64_t offset) {
    while (rows->block_count <= offset >> OUTRIDER_UNWIND_BLOCK_BITS)
        rows->index[rows->block_count++] = rows->row_count;
}

/* Writes the pending row, which can no longer be replaced. */
static void write_last(outrider_unwind_rows *rows) {
    uint16_t number = number_of(rows, rows->last);
    if (number == rows->written) return;
    if (rows->row_count == most_rows) {
        rows->overflowed = true;
        return;
    }
    begin_blocks(rows, rows->last_offset);
    rows->rows[rows->row_count++] = (outrider_unwind_row){
        .offset = rows->last_offset & ((1U << OUTRIDER_UNWIND_BLOCK_BITS) - 1), .rule = number};
    rows->written = number;
}

void outrider_unwind_add(outrider_unwind_rows *rows, uint64_t offset, outrider_unwind_rule rule) {
    if (offset > rows->last_offset) {
        write_last(rows);
        rows->last_offset = offset;
    }
    rows->last = rule;
}

/* Copies the collected rows to a separate mapping. */
static outrider_unwind_table *pack(outrider_unwind_rows *rows, size_t span) {
    const size_t page = 4096;
    write_last(rows);
    begin_blocks(rows, span - 1);
    rows->index[rows->block_count++] = rows->row_count;
    size_t index_size = rows->block_count * sizeof rows->index[0];
    size_t rules_size = rows->rule_count * sizeof rows->rules[0];
    size_t rows_size = rows->row_count * sizeof rows->rows[0];
    size_t bytes = sizeof(outrider_unwind_table) + index_size + rules_size + rows_size;
    bytes = (bytes + page - 1) / page * page;
    uint8_t *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    outrider_unwind_table *table = (outrider_unwind_table *)memory;
    uint8_t *index_at = memory + sizeof *table;
    uint8_t *rules_at = index_at + index_size;
    uint8_t *rows_at = rules_at + rules_size;
    memcpy(index_at, rows->index, index_size);
    memcpy(rules_at, rows->rules, rules_size);
    memcpy(rows_at, rows->rows, rows_size);
    *table = (outrider_unwind_table){
        .index = (const uint32_t *)index_at,
        .rows = (const outrider_unwind_row *)rows_at,
        .rules = (const outrider_unwind_rule *)rules_at,
        .span = span,
        .bytes = bytes,
        .row_count = rows->row_count,
        .rule_count = rows->rule_count,
    };
    return table;
}

const outrider_unwind_table *outrider_unwind_build(const outrider_eh_image *image) {
    if (image->text_size == 0 || image->text_size > most_text) return NULL;
    outrider_unwind_rows *rows = mmap(
        NULL, sizeof *rows, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (rows == MAP_FAILED) return NULL;
    /* Row 0 and rule 0 are the stop before everything, outside all blocks. */
    rows->row_count = 1;
    rows->rule_count = 1;
    outrider_unwind_table *table = NULL;
    if (outrider_eh_read(image, rows) && !rows->overflowed) {
        table = pack(rows, image->text_size);
        if (table != NULL) table->fingerprint = outrider_unwind_fingerprint(image);
    }
    munmap(rows, sizeof *rows);
    return table;
}

void outrider_unwind_discard(const outrider_unwind_table *table) {
    munmap((void *)(uintptr_t)table, table->bytes);
}

uint64_t outrider_unwind_fingerprint(const outrider_eh_image *image) {
    uint64_t offset = image->header - image->address;
    uint64_t value = image->text_size ^ (image->text - image->header) * 0x9E3779B97F4A7C15U;
    if (offset > image->length || image->header_size > image->length - offset) return value;
    const uint8_t *at = image->bytes + offset;
    for (uint64_t left = image->header_size; left >= sizeof(uint64_t); left -= sizeof(uint64_t)) {
        uint64_t piece;
        memcpy(&piece, at, sizeof piece);
        at += sizeof piece;
        value = (value ^ piece) * 0x9E3779B97F4A7C15U;
        value ^= value >> 32;
    }
    return value;
}
