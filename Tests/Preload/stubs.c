/* SPDX-License-Identifier: Apache-2.0
 * Takes the addresses of malloc and free: linked to a fixed address, the program has stubs for
 * them, which the loader finds before any library.
 */
#include "expect.h"

static void *(*volatile make)(size_t) = malloc;
static void (*volatile unmake)(void *) = free;

__attribute__((noinline)) static void *make_block(void) {
    void *made = kept(make(100000));
    unmake(make(10));
    return made;
}

int main(void) {
    void *block = kept(make_block());
    EXPECT(block);
    puts("done");
}
