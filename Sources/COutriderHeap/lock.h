/* SPDX-License-Identifier: Apache-2.0
 * A spin lock with a limit.
 *
 * A hook may run anywhere: in a signal handler that interrupted the lock's holder, or in a child
 * that was cloned while another thread held the lock. Unlimited waiting would deadlock the program,
 * so a holder that does not release the lock costs only a counted sample. The critical sections of
 * hooks take well below a microsecond.
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

/* From <linux/futex.h>, which not every C library includes. */
enum { LOCK_FUTEX_WAIT_PRIVATE = 0 | 128 };
/* Spins before a thread sleeps, and sleeps before it gives up: at least 20 ms. */
enum { LOCK_SPINS = 1000, LOCK_WAITS = 400, LOCK_WAIT_NS = 50000 };

static inline void lock_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Sleeps briefly: a futex(2) wait with a timeout that is never woken. malloc itself makes this
 * system call, so a seccomp filter that permits malloc permits this too. Keeps errno. */
static inline void lock_wait(bounded_lock *lock) {
    struct timespec moment = {0, LOCK_WAIT_NS};
    int saved = errno;
    syscall(SYS_futex, &lock->is_held, LOCK_FUTEX_WAIT_PRIVATE, 1, &moment, (void *)0, 0);
    errno = saved;
}

static inline bool lock_try(bounded_lock *lock) {
    /* ORDERING: acquire pairs with the release by the previous holder. */
    return atomic_load_explicit(&lock->is_held, memory_order_relaxed) == 0
        && atomic_exchange_explicit(&lock->is_held, 1, memory_order_acquire) == 0;
}

/* Takes the lock; false if it was still held after `*waits` waits, which are deducted. Not
 * recursive. */
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

/* Takes the lock; false if it could not. Not recursive. */
static inline bool lock_take(bounded_lock *lock) {
    int waits = LOCK_WAITS;
    return lock_take_within(lock, &waits);
}

static inline void lock_release(bounded_lock *lock) {
    atomic_store_explicit(&lock->is_held, 0, memory_order_release);
}

#endif
