/* SPDX-License-Identifier: Apache-2.0
 * SIGUSR2, if it is unused: its handler has a profile written, by a copy of the process, or by a
 * thread if the program has threads. */
#ifndef OUTRIDER_WAKE_H
#define OUTRIDER_WAKE_H

#include <pthread.h>
#include <stdbool.h>

typedef struct {
    /* Whether a profile may be written by this process. Async-signal-safe. */
    bool (*may_write)(void);
    /* Called on the thread after each signal; several signals in a row may result in one call. */
    void (*write_in_thread)(void);
    /* Called in the copy, where nothing else runs. */
    void (*write_in_copy)(void);
} outrider_wake_actions;

/* Handles SIGUSR2, if the signal has its default action. Returns false if no thread can be started
 * where one is needed: in a program with several threads. */
bool outrider_wake_by_signal(outrider_wake_actions actions, bool has_threads);

/* Before the program starts a thread: starts ours if it is missing. A copy of a program with
 * threads could wait forever for a lock of theirs.
 *
 * Our thread blocks all signals, and ends when the first thread ends with pthread_exit: otherwise
 * the process would not end with the last of the program's threads. */
void outrider_wake_before_threads(void);

/* Whether this process has the thread. Async-signal-safe. */
bool outrider_wake_has_thread(void);

/* In a forked child, which does not have the thread. */
void outrider_wake_after_fork(void);

/* libc's pthread_create. */
int outrider_next_pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*work)(void *), void *argument);

#endif
