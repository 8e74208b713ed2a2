/* SPDX-License-Identifier: Apache-2.0
 * Shared by the programs that run with the hooks: an expectation that ends the program with a
 * message, and a wait before main. */
#ifndef OUTRIDER_EXPECT_H
#define OUTRIDER_EXPECT_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EXPECT(condition)                                                             \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: expected: %s\n", __FILE__, __LINE__, #condition); \
            _Exit(1);                                                                 \
        }                                                                             \
    } while (0)

/* With WAITS_FOR_LINE the program reads a byte before main, so that a test can act on it first. */
__attribute__((constructor)) static inline void wait_for_test(void) {
    char byte;
    if (getenv("WAITS_FOR_LINE")) EXPECT(read(STDIN_FILENO, &byte, 1) == 1);
}

/* Keeps the compiler from removing an allocation whose block is not used. */
static inline void *kept(void *block) {
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

#endif
