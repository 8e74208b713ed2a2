// SPDX-License-Identifier: Apache-2.0
// A fork waits until nobody changes what the library shares between threads.
//
// A forked child has one thread, and the memory as it was at that moment: a lock that another thread
// held then is never opened in it, and what that thread was changing stays half changed. So whoever
// takes a lock says so, and pthread_atfork(3) has a fork wait for those few microseconds. It waits 50
// milliseconds at most. Nothing that we do under a lock takes milliseconds, but the thread that holds one may be
// descheduled.
#ifndef OUTRIDER_FORK_H
#define OUTRIDER_FORK_H

/// Before a lock is taken; a fork of this moment waits for `outrider_fork_allow`. May be nested.
void outrider_fork_hold(void);

/// After it was given back.
void outrider_fork_allow(void);

#endif
