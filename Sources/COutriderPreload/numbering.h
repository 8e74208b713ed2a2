/* SPDX-License-Identifier: Apache-2.0
 * A map that numbers keys from one, in the order in which they are added. */
#ifndef OUTRIDER_NUMBERING_H
#define OUTRIDER_NUMBERING_H

#include "buffer.h"

/* Empty when all zero. Its memory is the buffer of the entries, which must be closed. */
typedef struct {
    outrider_buffer entries;
    size_t mask;
    uint32_t count;
} outrider_numbering;

typedef struct {
    uint64_t key;
    uint32_t number; /* 0 if the entry is free */
} outrider_numbering_entry;

/* Reserves room for at most `most` keys; false if memory is short. Call it before adding keys. */
static inline bool outrider_numbering_prepare(outrider_numbering *numbers, size_t most) {
    size_t size = 64;
    while (size < 2 * most) size *= 2;
    numbers->mask = size - 1;
    return outrider_buffer_extend(&numbers->entries, size * sizeof(outrider_numbering_entry)) != NULL;
}

/* The number of a key, which is added if necessary; `is_new` is set if it was. There is always a
 * free entry, because there are at most as many keys as announced. */
static inline uint32_t outrider_numbering_find(
    outrider_numbering *numbers, uint64_t key, bool *is_new) {
    outrider_numbering_entry *entries = (outrider_numbering_entry *)numbers->entries.bytes;
    size_t at = (size_t)(key * 0x9e3779b97f4a7c15u >> 20) & numbers->mask;
    while (entries[at].number && entries[at].key != key) at = (at + 1) & numbers->mask;
    *is_new = entries[at].number == 0;
    if (*is_new) entries[at] = (outrider_numbering_entry){key, ++numbers->count};
    return entries[at].number;
}

#endif
