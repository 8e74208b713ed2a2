/* SPDX-License-Identifier: Apache-2.0
 * A library that libraries.c loads and unloads: it allocates when it comes, when it is asked, and
 * frees when it goes.
 */
#include <stdlib.h>

static void *block;

__attribute__((constructor)) static void come(void) { block = malloc(1000); }
__attribute__((destructor)) static void go(void) { free(block); }

void *plugin_allocate(size_t size);
void *plugin_allocate(size_t size) {
    void *made = malloc(size);
    /* Not a tail call: the library's own address is to be on the stack. */
    __asm__ volatile("" : : : "memory");
    return made;
}
