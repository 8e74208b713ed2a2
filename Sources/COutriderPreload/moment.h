/* SPDX-License-Identifier: Apache-2.0
 * Whether a signal came at a moment at which its handler may start a thread.
 *
 * pthread_create(3) is not for signal handlers: it takes locks of libc and the loader, and it ends the short cuts that
 * libc's malloc and stdio take while a program has one thread. So the interrupted thread must not be in the middle of
 * any of these. It is not if it was outside of libc, the loader and the allocator, or if it waits in a system call that
 * none of them makes while it holds or changes anything.
 */
#ifndef OUTRIDER_MOMENT_H
#define OUTRIDER_MOMENT_H

#include <stdbool.h>

/* Finds where libc, the loader and the allocator lie. Once, before anything else here; takes the loader's
 * lock. Returns false if moments cannot be judged: on a processor other than x86-64 and aarch64. */
bool outrider_moment_prepare(void);

/* Judges the context that a handler with SA_SIGINFO gets, a ucontext_t. Async-signal-safe; no system call. */
bool outrider_moment_allows_threads(const void *context);

#endif
