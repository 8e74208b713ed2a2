/* SPDX-License-Identifier: Apache-2.0
 * A thread with a stack of a given size. */
#include "CTestSupport.h"

#include <pthread.h>

typedef struct {
    void (*body)(void *);
    void *argument;
} work;

static void *run(void *given) {
    work *job = given;
    job->body(job->argument);
    return 0;
}

int test_on_small_stack(size_t size, void (*body)(void *), void *argument) {
    pthread_t thread;
    pthread_attr_t attributes;
    work job = {body, argument};
    if (pthread_attr_init(&attributes) != 0) return 0;
    int is_started = pthread_attr_setstacksize(&attributes, size) == 0
        && pthread_create(&thread, &attributes, run, &job) == 0;
    pthread_attr_destroy(&attributes);
    return is_started && pthread_join(thread, 0) == 0;
}
