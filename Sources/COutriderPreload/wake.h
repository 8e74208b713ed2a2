/* SPDX-License-Identifier: Apache-2.0
 * SIGUSR2, if it is unused: its handler wakes a thread, which does the work. */
#ifndef OUTRIDER_WAKE_H
#define OUTRIDER_WAKE_H

#include <stdbool.h>

/* Calls `work` on a separate thread after each SIGUSR2, if the signal has its default action;
 * several signals in a row may result in one call. Returns false if no thread can be started.
 *
 * The thread blocks all signals, and ends when the first thread ends with pthread_exit: otherwise
 * the process would not end with the last of the program's threads. A forked child does not have
 * the thread: the signal does nothing there. */
bool outrider_wake_by_signal(void (*work)(void));

#endif
