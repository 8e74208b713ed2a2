/* SPDX-License-Identifier: Apache-2.0
 * Writes past the end of a block, which a checking allocator detects when the block is freed.
 *
 * glibc's checks store a byte there that depends on the address. A fixed value would equal it in
 * about 1 % of all processes, so the program inverts it. In a block of zeros no other byte can be
 * mistaken for it (glibc's malloc/malloc-check.c). */
#include "expect.h"

int main(void) {
    volatile char *block = kept(calloc(1, 24));
    block[24] = (char)~block[24];
    free(kept((void *)block));
    puts("not detected");
    return 0;
}
