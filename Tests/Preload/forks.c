/* SPDX-License-Identifier: Apache-2.0
 * Forks while other threads allocate: each child allocates, frees the blocks that it inherited, and
 * exits.
 */
#define _GNU_SOURCE
#include "expect.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 3, FORKS = 100, INHERITED = 64 };

static _Atomic(int) is_over;

static void *allocate(void *unused) {
    (void)unused;
    void *held[100] = {NULL};
    for (size_t i = 0; !is_over; i++) {
        free(held[i % 100]);
        held[i % 100] = malloc(i * 31 % 5000 + 1);
    }
    for (int i = 0; i < 100; i++) free(held[i]);
    return NULL;
}

static void live_as_child(void **inherited) {
    for (int i = 0; i < INHERITED; i++) free(inherited[i]);
    for (size_t i = 1; i < 2000; i++) {
        char *block = malloc(i);
        block[0] = 1;
        free(kept(realloc(block, i * 2)));
    }
    pthread_t thread;
    is_over = 1;
    if (pthread_create(&thread, NULL, allocate, NULL) != 0 || pthread_join(thread, NULL) != 0) _exit(2);
    exit(0);
}

int main(void) {
    pthread_t threads[THREADS];
    void *inherited[INHERITED];
    for (int i = 0; i < INHERITED; i++) inherited[i] = malloc(4000);
    for (int i = 0; i < THREADS; i++) EXPECT(pthread_create(&threads[i], NULL, allocate, NULL) == 0);
    int well = 0;
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        EXPECT(child >= 0);
        if (child == 0) live_as_child(inherited);
        int status;
        EXPECT(waitpid(child, &status, 0) == child);
        well += status == 0;
    }
    is_over = 1;
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < INHERITED; i++) free(inherited[i]);
    printf("%d of %d children ended well\n", well, FORKS);
}
