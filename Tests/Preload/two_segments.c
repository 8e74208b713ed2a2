/* SPDX-License-Identifier: Apache-2.0
 * A program with two executable segments, as linker scripts and BOLT create: it is linked with
 * .hot_text at a separate address. A function in one segment keeps a block that a function in the
 * other allocates.
 */
#include "expect.h"

__attribute__((noinline, section(".hot_text"))) static void *hot_block(void) { return kept(malloc(100000)); }
__attribute__((noinline)) static void *cold_caller(void) { return kept(hot_block()); }

int main(void) {
    EXPECT(cold_caller());
    puts("done");
}
