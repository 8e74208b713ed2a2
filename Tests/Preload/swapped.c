/* SPDX-License-Identifier: Apache-2.0
 * Loads libraries one after the other at the same address, and keeps blocks that they allocated.
 *
 *   swapped ROUNDS LIBRARY...
 *
 * In each round, each library is loaded, allocates 1,000 bytes more than the one before it, which
 * are kept, and is unloaded. The last library of the last round stays loaded at the others'
 * address.
 */
#define _GNU_SOURCE
#include "expect.h"

#include <dlfcn.h>

int main(int count, char **arguments) {
    EXPECT(count > 2);
    int rounds = atoi(arguments[1]), moved = 0;
    void *place = NULL;
    for (int round = 0; round < rounds; round++) {
        for (int i = 2; i < count; i++) {
            void *library = dlopen(arguments[i], RTLD_NOW | RTLD_LOCAL);
            EXPECT(library);
            void *(*allocate)(size_t) = (void *(*)(size_t))dlsym(library, "swapped_allocate");
            EXPECT(allocate && kept(allocate(1000 * (size_t)(i - 1))));
            moved += place && place != (void *)allocate;
            place = (void *)allocate;
            if (round == rounds - 1 && i == count - 1) break;
            EXPECT(dlclose(library) == 0);
        }
    }
    puts(moved ? "not all at one address" : "all at one address");
}
