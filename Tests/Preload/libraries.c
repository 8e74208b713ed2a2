/* SPDX-License-Identifier: Apache-2.0
 * Loads and unloads a library while other threads allocate; blocks outlive the library that
 * allocated them.
 *
 *   libraries PLUGIN
 */
#define _GNU_SOURCE
#include "expect.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 2, ROUNDS = 500 };

static _Atomic(int) is_over;

static void *allocate(void *unused) {
    (void)unused;
    for (size_t i = 0; !is_over; i++) free(kept(malloc(i * 31 % 5000 + 1)));
    return NULL;
}

int main(int count, char **arguments) {
    EXPECT(count == 2);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) EXPECT(pthread_create(&threads[i], NULL, allocate, NULL) == 0);
    static void *left[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
        EXPECT(library);
        void *(*make)(size_t) = (void *(*)(size_t))dlsym(library, "plugin_allocate");
        EXPECT(make);
        left[i] = make(i * 100 + 1);
        EXPECT(dlclose(library) == 0);
    }
    is_over = 1;
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < ROUNDS; i += 2) free(left[i]);
    puts("every library came and went");
}
