/* SPDX-License-Identifier: Apache-2.0
 * Interposes pthread_create and thrd_create: right before the program's first thread, ours is
 * started.
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

/* libc's; looked up before main, or at the first call if it comes from the initializer of a library. */
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
    outrider_wake_before_threads();
    return outrider_next_pthread_create(thread, attributes, work, argument);
}

EXPORTED int thrd_create(thrd_t *thread, thrd_start_t work, void *argument) {
    outrider_wake_before_threads();
    find_next();
    thrd_create_function next = atomic_load(&next_thrd_create);
    return next ? next(thread, work, argument) : thrd_error;
}
