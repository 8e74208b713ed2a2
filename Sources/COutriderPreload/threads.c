/* SPDX-License-Identifier: Apache-2.0
 * Stands in front of pthread_create and thrd_create: the program's first thread is followed by ours, since in a program
 * with several threads a handler has no safe moment to start it when all of them wait for each other.
 */
#define _GNU_SOURCE
#include "wake.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <threads.h>

#define EXPORTED __attribute__((visibility("default")))

typedef int (*pthread_create_function)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
typedef int (*thrd_create_function)(thrd_t *, thrd_start_t, void *);

/* libc's; looked up before main, or at the first call if a library's initializer makes it. */
static _Atomic(pthread_create_function) next_pthread_create;
static _Atomic(thrd_create_function) next_thrd_create;

__attribute__((constructor)) static void find_next(void) {
    if (atomic_load(&next_pthread_create)) return;
    atomic_store(&next_thrd_create, (thrd_create_function)dlsym(RTLD_NEXT, "thrd_create"));
    atomic_store(&next_pthread_create, (pthread_create_function)dlsym(RTLD_NEXT, "pthread_create"));
}

int outrider_next_pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*work)(void *), void *argument) {
    find_next();
    pthread_create_function next = atomic_load(&next_pthread_create);
    return next ? next(thread, attributes, work, argument) : EAGAIN;
}

EXPORTED int pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*work)(void *), void *argument) {
    int problem = outrider_next_pthread_create(thread, attributes, work, argument);
    if (problem == 0) outrider_wake_beside_threads();
    return problem;
}

EXPORTED int thrd_create(thrd_t *thread, thrd_start_t work, void *argument) {
    find_next();
    thrd_create_function next = atomic_load(&next_thrd_create);
    int result = next ? next(thread, work, argument) : thrd_error;
    if (result == thrd_success) outrider_wake_beside_threads();
    return result;
}
