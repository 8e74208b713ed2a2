/* SPDX-License-Identifier: Apache-2.0
 * Allocations of one and of several threads, between two writes that are visible in a trace of
 * system calls.
 */
#define _GNU_SOURCE
#include "expect.h"

#include <pthread.h>
#include <string.h>

enum { THREADS = 4, BLOCKS = 20000 };

static pthread_barrier_t there, begin, end, leave;

static void say(const char *text) { EXPECT(write(STDOUT_FILENO, text, strlen(text)) > 0); }

static void allocate(void) {
    for (int i = 0; i < BLOCKS; i++) {
        char *block = kept(calloc(1, (size_t)(i % 3000) + 1));
        free(kept(realloc(block, (size_t)(i % 5000) + 1)));
    }
}

static void *work(void *unused) {
    pthread_barrier_wait(&there);
    pthread_barrier_wait(&begin);
    allocate();
    pthread_barrier_wait(&end);
    pthread_barrier_wait(&leave);
    return unused;
}

int main(void) {
    pthread_t threads[THREADS];
    pthread_barrier_init(&there, NULL, THREADS + 1);
    pthread_barrier_init(&leave, NULL, THREADS + 1);
    pthread_barrier_init(&begin, NULL, THREADS + 1);
    pthread_barrier_init(&end, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) EXPECT(pthread_create(&threads[i], NULL, work, NULL) == 0);
    pthread_barrier_wait(&there);
    say("allocating\n");
    allocate();
    pthread_barrier_wait(&begin);
    pthread_barrier_wait(&end);
    say("allocated\n");
    pthread_barrier_wait(&leave);
    for (int i = 0; i < THREADS; i++) EXPECT(pthread_join(threads[i], NULL) == 0);
    return 0;
}
