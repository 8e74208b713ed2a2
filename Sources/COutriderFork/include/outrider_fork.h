// SPDX-License-Identifier: Apache-2.0
// Delays fork(2) until no thread changes state that the library shares between threads.
//
// A forked child has one thread and a copy of the memory: a lock that another thread held is never
// released in it, and the state behind it stays half changed. So each thread that takes a lock
// reports that here, and a pthread_atfork(3) handler delays the fork for those few microseconds, at
// most 50 milliseconds. No code of ours holds a lock for milliseconds, but the thread that holds
// one may be descheduled.
#ifndef OUTRIDER_FORK_H
#define OUTRIDER_FORK_H

/// Called before a lock is taken; a fork then waits for `outrider_fork_allow`. Calls may be nested.
void outrider_fork_hold(void);

/// Called after the lock is released.
void outrider_fork_allow(void);

#endif
