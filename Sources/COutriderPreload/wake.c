/* SPDX-License-Identifier: Apache-2.0
 * The handler of SIGUSR2, and the thread that it wakes in a program with threads.
 *
 * With the thread, the handler only calls sem_post (signal-safety(7)). It runs on the alternate
 * stack if there is one, as Go requires of every handler, and interrupted calls are restarted.
 */
#define _GNU_SOURCE
#include "wake.h"

#include "copy.h"

#include "outrider_heap.h"
#include "outrider_output.h"
#include "outrider_symbols.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

/* Room for the demanglers; only the part in use is touched. */
enum { STACK_SIZE = 2 * OUTRIDER_SYMBOLS_STACK };

static sem_t signals;
static _Atomic(bool) is_leaving;
static outrider_wake_actions actions;
/* Whether SIGUSR2 has our handler. */
static _Atomic(bool) is_installed;

enum { NO_THREAD, STARTED, IMPOSSIBLE };
static _Atomic(int) thread_state;

#define SAY(text) outrider_write_line(STDERR_FILENO, text "\n", sizeof text)

/* --- the thread ------------------------------------------------------------------------------- */

static void *wait_for_signals(void *unused) {
    (void)unused;
    for (;;) {
        if (sem_wait(&signals) != 0) continue;
        /* Signals that arrived in between request the same work. */
        while (!atomic_load(&is_leaving) && sem_trywait(&signals) == 0) continue;
        if (atomic_load(&is_leaving)) return NULL;
        actions.write_in_thread();
    }
}

/* Runs if the first thread ends with pthread_exit while others continue. */
static void leave(void *unused) {
    (void)unused;
    atomic_store(&is_leaving, true);
    sem_post(&signals);
}

/* Starts the thread with all signals blocked, so that the program's own threads receive them. */
static bool create_thread(void) {
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    if (pthread_attr_init(&attributes) != 0) return false;
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int problem = outrider_next_pthread_create(&thread, &attributes, wait_for_signals, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (problem == 0) pthread_setname_np(thread, "outrider-heap");
    return problem == 0;
}

/* Called by the only thread of the process. A signal that arrives meanwhile is for the thread. */
static bool start_thread(void) {
    static pthread_key_t key;
    static bool has_key;
    /* A key's destructor runs when its thread ends, but not when the process exits. */
    has_key = has_key || pthread_key_create(&key, leave) == 0;
    bool is_started = has_key && pthread_setspecific(key, &signals) == 0;
    atomic_store(&thread_state, is_started ? STARTED : IMPOSSIBLE);
    if (is_started && !create_thread()) {
        pthread_setspecific(key, NULL);
        atomic_store(&thread_state, IMPOSSIBLE);
        is_started = false;
    }
    return is_started;
}

void outrider_wake_before_threads(void) {
    if (!atomic_load(&is_installed) || atomic_load(&thread_state) != NO_THREAD) return;
    int saved = errno;
    if (actions.may_write() && !start_thread())
        SAY("outrider-heap: SIGUSR2 writes no profile from now on: its thread could not be started");
    errno = saved;
}

bool outrider_wake_has_thread(void) { return atomic_load(&thread_state) == STARTED; }

void outrider_wake_after_fork(void) {
    atomic_store(&thread_state, NO_THREAD);
    /* The signals that the parent's thread has not handled. */
    sem_init(&signals, 0, 0);
    outrider_copy_forget();
}

/* --- the signal ------------------------------------------------------------------------------- */

static void start_copy(void) {
    if (outrider_copy_start(actions.write_in_copy, STACK_SIZE) != 0)
        SAY("outrider-heap: no profile: the kernel has no process or memory to write it");
    if (outrider_copy_problem() != 0)
        SAY("outrider-heap: no profile: the process that wrote the previous one was ended");
}

static void request_profile(void) {
    int saved = errno, state = atomic_load(&thread_state);
    if (state == STARTED) sem_post(&signals);
    if (state == NO_THREAD && actions.may_write()) start_copy();
    errno = saved;
}

static void on_signal(int number) {
    (void)number;
    /* A copy of tables that are being changed may be inconsistent. */
    if (outrider_wake_has_thread() || !outrider_heap_defer(request_profile)) request_profile();
}

bool outrider_wake_by_signal(outrider_wake_actions wanted, bool has_threads) {
    struct sigaction action;
    if (sigaction(SIGUSR2, NULL, &action) != 0 || action.sa_flags & SA_SIGINFO
        || action.sa_handler != SIG_DFL)
        return true;
    actions = wanted;
    if (sem_init(&signals, 0, 0) != 0 || (has_threads && !start_thread())) return false;
    atomic_store(&is_installed, true);
    action = (struct sigaction){.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    return sigaction(SIGUSR2, &action, NULL) == 0;
}
