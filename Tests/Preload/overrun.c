/* SPDX-License-Identifier: Apache-2.0
 * A block that is written past its end, which an allocator that checks finds when it is freed. */
#include "expect.h"

int main(void) {
    volatile char *block = kept(malloc(24));
    block[24] = 7;
    free(kept((void *)block));
    puts("nobody noticed");
    return 0;
}
