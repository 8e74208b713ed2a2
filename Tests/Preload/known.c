/* SPDX-License-Identifier: Apache-2.0
 * Known blocks of known functions: COUNT blocks of SIZE bytes are kept, and as many of half the
 * size are freed.
 *
 *   known COUNT SIZE
 */
#define _GNU_SOURCE
#include "expect.h"

__attribute__((noinline)) static void *keep_block(size_t size) { return kept(malloc(size)); }
__attribute__((noinline)) static void churn_block(size_t size) { free(kept(malloc(size))); }

int main(int count, char **arguments) {
    EXPECT(count == 3);
    unsigned long blocks = strtoul(arguments[1], NULL, 10), size = strtoul(arguments[2], NULL, 10);
    for (unsigned long i = 0; i < blocks; i++) {
        void *block = keep_block(size);
        EXPECT(block);
        churn_block(size / 2);
    }
    puts("done");
}
