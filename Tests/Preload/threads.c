/* SPDX-License-Identifier: Apache-2.0
 * Threads that are short-lived, many, tiny or cancelled, and blocks that one thread allocates and
 * another frees.
 */
#define _GNU_SOURCE
#include "expect.h"

#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <string.h>

enum { SHORT_THREADS = 1000, AT_ONCE = 8, TINY_THREADS = 200, TINY_STACK = 16384, CANCELLED = 100 };

static void *live_shortly(void *inherited) {
    free(inherited);
    void *blocks[50];
    for (size_t i = 0; i < 50; i++) memset(blocks[i] = malloc(i * 100 + 1), 1, i * 100 + 1);
    for (size_t i = 0; i < 49; i++) free(blocks[i]);
    return blocks[49];
}

/* Each thread frees a block of the first one, and returns a block to it. */
static void short_threads(void) {
    for (int round = 0; round < SHORT_THREADS / AT_ONCE; round++) {
        pthread_t threads[AT_ONCE];
        for (int i = 0; i < AT_ONCE; i++)
            EXPECT(pthread_create(&threads[i], NULL, live_shortly, malloc(5000)) == 0);
        for (int i = 0; i < AT_ONCE; i++) {
            void *left;
            EXPECT(pthread_join(threads[i], &left) == 0);
            free(left);
        }
    }
}

/* Freed at the end of its thread, after most other parts of the thread. */
static pthread_key_t key;
static void *live_tinily(void *unused) {
    (void)unused;
    pthread_setspecific(key, malloc(3000));
    for (size_t i = 1; i < 300; i++) {
        char *block = realloc(malloc(i), i * 30);
        EXPECT(block);
        block[i * 30 - 1] = 1;
        free(block);
    }
    return NULL;
}

static void tiny_threads(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    EXPECT(pthread_attr_setstacksize(&attributes, TINY_STACK) == 0);
    EXPECT(pthread_key_create(&key, free) == 0);
    for (int i = 0; i < TINY_THREADS; i++) {
        pthread_t thread;
        EXPECT(pthread_create(&thread, &attributes, live_tinily, NULL) == 0);
        EXPECT(pthread_join(thread, NULL) == 0);
    }
    pthread_attr_destroy(&attributes);
}

static sem_t begun;
static void let_go(void *block) { free(block); }
static void *work_until_cancelled(void *unused) {
    (void)unused;
    void *block = malloc(10000);
    pthread_cleanup_push(let_go, block);
    sem_post(&begun);
    for (;;) {
        free(kept(malloc(100)));
        pthread_testcancel();
    }
    pthread_cleanup_pop(1);
    return NULL;
}

static void cancelled_threads(void) {
    sem_init(&begun, 0, 0);
    for (int i = 0; i < CANCELLED; i++) {
        pthread_t thread;
        void *result;
        EXPECT(pthread_create(&thread, NULL, work_until_cancelled, NULL) == 0);
        sem_wait(&begun);
        EXPECT(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
        EXPECT(result == PTHREAD_CANCELED);
    }
}

int main(void) {
    short_threads();
    tiny_threads();
    cancelled_threads();
    puts("every thread came to its end");
}
