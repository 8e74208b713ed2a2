/* SPDX-License-Identifier: Apache-2.0
 * SIGUSR2, where nobody else minds it: its handler wakes a thread, which does the work. */
#ifndef OUTRIDER_WAKE_H
#define OUTRIDER_WAKE_H

#include <stdbool.h>

/* Calls `work` on a thread of its own after each SIGUSR2, if the signal has its default action; several
 * signals in a row may be one call. Returns false if there is no thread to be had.
 *
 * The thread takes no signals, and goes away when the first thread ends by itself, as the process would
 * not end with its last thread otherwise. A child of a fork has none: the signal does nothing there. */
bool outrider_wake_by_signal(void (*work)(void));

#endif
