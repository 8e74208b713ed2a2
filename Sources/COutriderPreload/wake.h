/* SPDX-License-Identifier: Apache-2.0
 * SIGUSR2, where the program leaves it alone: a thread does the work that a handler may not do. */
#ifndef OUTRIDER_WAKE_H
#define OUTRIDER_WAKE_H

#include <pthread.h>
#include <stdbool.h>

/* What is done on the thread, and whether a thread may be started now: asked in a handler. */
typedef struct {
    void (*work)(void);
    bool (*may_start)(void);
} outrider_wake_actions;

/* Calls `work` on a thread of its own after each SIGUSR2, if the signal has its default action; several signals in a
 * row may be one call. Returns false if that is not possible.
 *
 * The thread does not exist before it has something to do, as a second thread changes what a program may do and what
 * its libc does. In a program without threads the handler starts it, at once where the moment allows it (moment.h), and
 * otherwise at a look 1 ms and more later, which a timer's SIGURG wakes; that signal is used while it has its default
 * action, which is none. In a program that starts threads, it is started with the first of them.
 *
 * The thread takes no signals, and goes away when the first thread ends by itself, as the process would
 * not end with its last thread otherwise. A child of a fork has none: the signal does nothing there. */
bool outrider_wake_by_signal(outrider_wake_actions actions);

/* Whether the thread is there, in the process that it was started in. Async-signal-safe. */
bool outrider_wake_has_thread(void);

/* Ends the looks at later moments: the process may be forbidden what they take. */
void outrider_wake_stop_looking(void);

/* The program has started a thread. */
void outrider_wake_beside_threads(void);

/* libc's pthread_create, which threads.c stands in front of. */
int outrider_next_pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*work)(void *), void *argument);

#endif
