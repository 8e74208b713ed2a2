/* SPDX-License-Identifier: Apache-2.0
 * The thread, the handler that wakes or starts it, and the looks for a moment at which it may be started.
 *
 * Where the thread is there, sem_post is all that the handler does (signal-safety(7)). It runs on the alternate stack
 * where there is one, which Go requires of every handler, and restarts what it interrupts.
 */
#define _GNU_SOURCE
#include "wake.h"

#include "moment.h"
#include "outrider_heap.h"
#include "outrider_output.h"
#include "outrider_symbols.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Room for the demanglers; it is touched only as far as it is used. */
enum { STACK_SIZE = 2 * OUTRIDER_SYMBOLS_STACK };
/* The first looks are so far apart; then the distance doubles, twice. A look takes some 3 us. */
enum { LOOK_NS = 1000000, LOOKS_ALIKE = 64, MOST_DOUBLED = 2 };

static sem_t signals;
static _Atomic(bool) is_leaving;
static outrider_wake_actions actions;
/* Whether SIGUSR2 is ours to handle. */
static _Atomic(bool) is_installed;

enum { ABSENT, STARTING, THERE };
static _Atomic(int) thread_state;
/* The process that the thread is in, and not a child of a fork. */
static _Atomic(pid_t) thread_process;

/* --- the thread ----------------------------------------------------------------------------------- */

static void *wait_for_signals(void *unused) {
    (void)unused;
    pthread_setname_np(pthread_self(), "outrider-heap");
    for (;;) {
        if (sem_wait(&signals) != 0) continue;
        /* Those that came meanwhile ask for the same. */
        while (!atomic_load(&is_leaving) && sem_trywait(&signals) == 0) continue;
        if (atomic_load(&is_leaving)) break;
        actions.work();
    }
    atomic_store(&thread_state, ABSENT);
    return NULL;
}

/* The first thread ends by pthread_exit while others go on. */
static void leave(void *unused) {
    (void)unused;
    atomic_store(&is_leaving, true);
    sem_post(&signals);
}

/* Starts the thread with every signal blocked, so that the program's own threads get them all. */
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
    return problem == 0;
}

/* Whether there is none yet, and one may be started. */
static bool is_wanted(void) {
    return atomic_load(&thread_state) == ABSENT && !atomic_load(&is_leaving) && actions.may_start();
}

/* Starts the thread unless another thread does; false if there is none to be had. */
static bool start_thread(void) {
    int absent = ABSENT;
    if (!atomic_compare_exchange_strong(&thread_state, &absent, STARTING)) return true;
    atomic_store(&thread_process, getpid());
    bool is_there = create_thread();
    atomic_store(&thread_state, is_there ? THERE : ABSENT);
    return is_there;
}

bool outrider_wake_has_thread(void) {
    return atomic_load(&thread_state) == THERE && atomic_load(&thread_process) == getpid();
}

void outrider_wake_beside_threads(void) {
    if (!atomic_load(&is_installed) || atomic_load(&thread_state) != ABSENT) return;
    int saved = errno;
    /* If there is none to be had, the handler tries again. */
    if (is_wanted() && start_thread()) outrider_wake_stop_looking();
    errno = saved;
}

/* --- later moments ---------------------------------------------------------------------------------- */

static void on_signal(int number, siginfo_t *about, void *context);

static _Atomic(bool) has_timer;
static int timer;
static unsigned looks;

static struct sigaction handler(void) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    return action;
}

static bool is_default(const struct sigaction *action) {
    return !(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_DFL;
}

/* Has SIGURG come by a timer; nothing ends if somebody takes our handler away before. The system calls themselves,
 * since libc's functions may allocate. */
static bool prepare_timer(void) {
    struct sigaction action;
    if (atomic_load(&has_timer)) return true;
    if (sigaction(SIGURG, NULL, &action) != 0 || !is_default(&action)) return false;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGURG};
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) != 0) return false;
    action = handler();
    sigaction(SIGURG, &action, NULL);
    looks = 0;
    atomic_store(&has_timer, true);
    return true;
}

static void look_later(void) {
    if (!prepare_timer()) return;
    unsigned doubled = looks++ / LOOKS_ALIKE;
    long distance = (long)LOOK_NS << (doubled < MOST_DOUBLED ? doubled : MOST_DOUBLED);
    struct itimerspec once = {.it_value = {0, distance}};
    syscall(SYS_timer_settime, timer, 0, &once, NULL);
}

void outrider_wake_stop_looking(void) {
    struct sigaction action;
    if (!atomic_exchange(&has_timer, false)) return;
    syscall(SYS_timer_delete, timer);
    if (sigaction(SIGURG, NULL, &action) != 0 || action.sa_sigaction != on_signal) return;
    action = (struct sigaction){.sa_handler = SIG_DFL};
    sigaction(SIGURG, &action, NULL);
}

/* --- the signal ------------------------------------------------------------------------------------- */

/* Whose turn it is to start the thread from a handler, and the stack for it: an alternate stack may have some hundred
 * bytes left, and libc's first call of the loader takes 4 KiB. */
static atomic_flag is_starting = ATOMIC_FLAG_INIT;
static _Alignas(16) char starting_stack[32768];

static void start_apart(void) {
    static const char line[] = "outrider-heap: SIGUSR2 writes no profile: there is no thread for it\n";
    /* A handler of the program's own may have interrupted malloc, and be interrupted by us. */
    outrider_heap_begin_apart();
    bool is_there = start_thread();
    outrider_heap_end_apart();
    if (!is_there) outrider_say(STDERR_FILENO, line, sizeof line - 1);
}

static void call_on_stack(void (*function)(void), char *top) {
#if defined(__x86_64__)
    __asm__ volatile("movq %%rsp, %%rbx\n\tmovq %1, %%rsp\n\tcall *%0\n\tmovq %%rbx, %%rsp"
                     : "+r"(function), "+r"(top)
                     :
                     : "rbx", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1",
                       "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
                       "xmm13", "xmm14", "xmm15", "cc", "memory");
#elif defined(__aarch64__)
    __asm__ volatile("mov x19, sp\n\tmov sp, %1\n\tblr %0\n\tmov sp, x19"
                     : "+r"(function), "+r"(top)
                     :
                     : "x19", "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12",
                       "x13", "x14", "x15", "x16", "x17", "x18", "x30", "cc", "memory");
#else
    (void)top;
    function();
#endif
}

static void start_from_handler(const void *context) {
    if (!outrider_moment_allows_threads(context)) {
        look_later();
        return;
    }
    outrider_wake_stop_looking();
    call_on_stack(start_apart, starting_stack + sizeof starting_stack);
}

static void on_signal(int number, siginfo_t *about, void *context) {
    (void)about;
    int saved = errno;
    if (number == SIGUSR2) sem_post(&signals);
    /* Other threads that are here at the same time leave it to one. */
    if (is_wanted() && !atomic_flag_test_and_set(&is_starting)) {
        start_from_handler(context);
        atomic_flag_clear(&is_starting);
    }
    errno = saved;
}

bool outrider_wake_by_signal(outrider_wake_actions wanted) {
    struct sigaction action;
    pthread_key_t key;
    if (sigaction(SIGUSR2, NULL, &action) != 0 || !is_default(&action)) return true;
    actions = wanted;
    if (sem_init(&signals, 0, 0) != 0) return false;
    /* A key's destructor runs when its thread ends, and not when the process does. */
    if (pthread_key_create(&key, leave) != 0) return false;
    if (pthread_setspecific(key, &signals) != 0 || !(outrider_moment_prepare() || start_thread())) {
        pthread_key_delete(key);
        return false;
    }
    atomic_store(&is_installed, true);
    action = handler();
    return sigaction(SIGUSR2, &action, NULL) == 0;
}
