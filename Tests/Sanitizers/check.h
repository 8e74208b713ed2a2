/* SPDX-License-Identifier: Apache-2.0
 * Shared by the tests of C code: a check that counts, random numbers, and corrupted bytes. */
#ifndef OUTRIDER_TEST_CHECK_H
#define OUTRIDER_TEST_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned long checks;

#define CHECK(condition)                                                              \
    do {                                                                              \
        __atomic_add_fetch(&checks, 1, __ATOMIC_RELAXED);                             \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: expected: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                                 \
        }                                                                             \
    } while (0)

/* Xorshift64 (13, 7, 17). */
static inline uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* Corrupts a few bytes among `count`, with values that are likely to be misread. */
static inline void spoil(uint8_t *bytes, size_t count, uint64_t *state) {
    static const uint8_t likely[] = {0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x10, 0x40};
    int changes = 1 + (int)(next_random(state) % 8);
    while (changes-- > 0) {
        uint64_t random = next_random(state);
        bytes[random % count] = random >> 32 & 1 ? (uint8_t)(random >> 40) : likely[random >> 40 & 7];
    }
}

#endif
