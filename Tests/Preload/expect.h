/* SPDX-License-Identifier: Apache-2.0
 * What the programs that run hooked share: an expectation that ends them with a line, and where they begin. */
#ifndef OUTRIDER_EXPECT_H
#define OUTRIDER_EXPECT_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EXPECT(condition)                                                             \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);   \
            _Exit(1);                                                                 \
        }                                                                             \
    } while (0)

/* With WAITS_FOR_LINE the program reads a byte before it begins: a test has something to do to it first. */
__attribute__((constructor)) static inline void wait_for_test(void) {
    char byte;
    if (getenv("WAITS_FOR_LINE")) EXPECT(read(STDIN_FILENO, &byte, 1) == 1);
}

/* Keeps the compiler from leaving out a pair of calls whose block nobody looks at. */
static inline void *kept(void *block) {
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

#endif
