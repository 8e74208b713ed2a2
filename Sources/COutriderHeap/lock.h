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

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct {
    _Atomic(int) is_held;
} bounded_lock;

/* Looks before the processor is offered to others, and offers before it gives up: some 20 ms. */
enum { LOCK_SPINS = 100, LOCK_YIELDS = 20000 };

static inline bool lock_try(bounded_lock *lock) {
    /* ORDERING: acquire pairs with the release of the holder before. */
    return atomic_load_explicit(&lock->is_held, memory_order_relaxed) == 0
        && atomic_exchange_explicit(&lock->is_held, 1, memory_order_acquire) == 0;
}

/* Takes the lock; false if it was not to be had. Not recursive. */
static inline bool lock_take(bounded_lock *lock) {
    for (int look = 0; look < LOCK_SPINS + LOCK_YIELDS; look++) {
        if (lock_try(lock)) return true;
        if (look >= LOCK_SPINS) sched_yield();
    }
    return false;
}

static inline void lock_release(bounded_lock *lock) {
    atomic_store_explicit(&lock->is_held, 0, memory_order_release);
}

#endif
