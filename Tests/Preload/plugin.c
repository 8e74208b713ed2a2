/* SPDX-License-Identifier: Apache-2.0
 * A library that libraries.c loads and unloads: it allocates when it is loaded and on request, and
 * frees when it is unloaded.
 */
#include <stdlib.h>

static void *block;

__attribute__((constructor)) static void come(void) { block = malloc(1000); }
__attribute__((destructor)) static void go(void) { free(block); }

void *plugin_allocate(size_t size);
void *plugin_allocate(size_t size) {
    void *made = malloc(size);
    /* Not a tail call: the library's own address must be on the stack. */
    __asm__ volatile("" : : : "memory");
    return made;
}
