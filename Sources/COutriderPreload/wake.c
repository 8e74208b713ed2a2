/* SPDX-License-Identifier: Apache-2.0
 * The thread that waits for the signal, and the handler that wakes it.
 *
 * The handler only calls sem_post (signal-safety(7)). It runs on the alternate stack if there is
 * one, as Go requires of every handler, and interrupted calls are restarted.
 */
#define _GNU_SOURCE
#include "wake.h"

#include "outrider_symbols.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

/* Room for the demanglers; only the part in use is touched. */
enum { STACK_SIZE = 2 * OUTRIDER_SYMBOLS_STACK };

static sem_t signals;
static _Atomic(int) is_leaving;
static void (*_Atomic to_do)(void);

static void on_signal(int number) {
    (void)number;
    int saved = errno;
    sem_post(&signals);
    errno = saved;
}

static void *wait_for_signals(void *unused) {
    (void)unused;
    for (;;) {
        if (sem_wait(&signals) != 0) continue;
        if (atomic_load(&is_leaving)) return NULL;
        /* Signals that arrived in between request the same work. */
        while (sem_trywait(&signals) == 0)
            if (atomic_load(&is_leaving)) return NULL;
        to_do();
    }
}

/* Runs if the first thread ends with pthread_exit while others continue. */
static void leave(void *unused) {
    (void)unused;
    atomic_store(&is_leaving, 1);
    sem_post(&signals);
}

/* Starts the thread with all signals blocked, so that the program's own threads receive them. */
static bool start_thread(void) {
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    if (pthread_attr_init(&attributes) != 0) return false;
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int problem = pthread_create(&thread, &attributes, wait_for_signals, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (problem == 0) pthread_setname_np(thread, "outrider-heap");
    return problem == 0;
}

bool outrider_wake_by_signal(void (*work)(void)) {
    struct sigaction action;
    pthread_key_t key;
    if (sigaction(SIGUSR2, NULL, &action) != 0 || action.sa_flags & SA_SIGINFO
        || action.sa_handler != SIG_DFL)
        return true;
    atomic_store(&to_do, work);
    if (sem_init(&signals, 0, 0) != 0) return false;
    /* A key's destructor runs when its thread ends, but not when the process exits. */
    if (pthread_key_create(&key, leave) != 0) return false;
    if (pthread_setspecific(key, &signals) != 0 || !start_thread()) {
        pthread_key_delete(key);
        return false;
    }
    action = (struct sigaction){.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    return sigaction(SIGUSR2, &action, NULL) == 0;
}
