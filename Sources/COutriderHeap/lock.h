/* SPDX-License-Identifier: Apache-2.0
 * A spin lock that gives up.
 *
 * A hook may run anywhere: in a signal handler that interrupted the very holder, or in a child that
 * was cloned while another thread held the lock. Waiting without a limit would be a deadlock of the
 * host, so a holder that does not let go costs a counted sample and nothing else. What it guards
 * takes well below a microsecond.
 */
#ifndef OUTRIDER_HEAP_LOCK_H
#define OUTRIDER_HEAP_LOCK_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    _Atomic(int) is_held;
} bounded_lock;

/* Of <linux/futex.h>, which does not come with every C library. */
enum { LOCK_FUTEX_WAIT_PRIVATE = 0 | 128 };
/* Looks before a thread lies down, and how often it does before it gives up: 20 ms at least. */
enum { LOCK_SPINS = 1000, LOCK_WAITS = 400, LOCK_WAIT_NS = 50000 };

static inline void lock_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Sleeps for a moment, by a futex(2) wait with a timeout that nobody wakes. malloc itself makes this system call, so
 * a seccomp filter that lets malloc work lets this work too. Keeps errno. */
static inline void lock_wait(bounded_lock *lock) {
    struct timespec moment = {0, LOCK_WAIT_NS};
    int saved = errno;
    syscall(SYS_futex, &lock->is_held, LOCK_FUTEX_WAIT_PRIVATE, 1, &moment, (void *)0, 0);
    errno = saved;
}

static inline bool lock_try(bounded_lock *lock) {
    /* ORDERING: acquire pairs with the release of the holder before. */
    return atomic_load_explicit(&lock->is_held, memory_order_relaxed) == 0
        && atomic_exchange_explicit(&lock->is_held, 1, memory_order_acquire) == 0;
}

/* Takes the lock; false if it was still held after `*waits` waits, which are used up. Not recursive. */
static inline bool lock_take_within(bounded_lock *lock, int *waits) {
    for (int look = 0; look < LOCK_SPINS; look++) {
        if (lock_try(lock)) return true;
        lock_pause();
    }
    for (; *waits > 0; --*waits) {
        lock_wait(lock);
        if (lock_try(lock)) return true;
    }
    return false;
}

/* Takes the lock; false if it was not to be had. Not recursive. */
static inline bool lock_take(bounded_lock *lock) {
    int waits = LOCK_WAITS;
    return lock_take_within(lock, &waits);
}

static inline void lock_release(bounded_lock *lock) {
    atomic_store_explicit(&lock->is_held, 0, memory_order_release);
}

#endif
