/* SPDX-License-Identifier: Apache-2.0
 * Writes past the end of a block, which a checking allocator detects when the block is freed.
 *
 * glibc's checks keep a byte there that is derived from the address. Any fixed value would be that byte in one of some
 * hundred processes, so this inverts it; and in a block of zeros no other byte can be taken for it (malloc/malloc-check.c). */
#include "expect.h"

int main(void) {
    volatile char *block = kept(calloc(1, 24));
    block[24] = (char)~block[24];
    free(kept((void *)block));
    puts("nobody noticed");
    return 0;
}
