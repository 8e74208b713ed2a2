/* SPDX-License-Identifier: Apache-2.0
 * The copy's life. The program cannot wait for it, so it is waited for here: before the next one,
 * and at the program's end. Until then it may be a zombie, at most one.
 */
#define _GNU_SOURCE
#include "copy.h"

#include "outrider_heap.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* After LIMIT_S seconds the copy is ended. Its end is awaited in turns. */
enum { LIMIT_S = 30, WAIT_NS = 1000000, WAIT_TURNS = 40000, FINISHING_TURNS = 100 };

/* The copy's process id, or 0; the signal that ended the last one, or 0. */
static _Atomic(pid_t) copy;
static _Atomic(int) ending_signal;
/* Whether the copy has all content of its file; in memory that it shares with the program. */
static _Atomic(bool) *is_finishing;

static void wait_a_turn(void) { nanosleep(&(struct timespec){0, WAIT_NS}, NULL); }

/* Whether the copy is at work. The system call itself: waitpid is a cancellation point. */
static bool is_at_work(void) {
    int status = 0;
    pid_t process = atomic_load(&copy);
    if (process == 0) return false;
    long found = syscall(SYS_wait4, process, &status, WNOHANG | __WCLONE, NULL);
    if (found == 0) return true;
    if (found == process && WIFSIGNALED(status)) atomic_store(&ending_signal, WTERMSIG(status));
    atomic_store(&copy, 0);
    return false;
}

/* All signals are blocked here, and a fault that is blocked ends the process without a handler. The
 * time limit is the only signal that gets through. */
static void limit_copy(void) {
    struct rlimit none = {0, 0};
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t only;
    setrlimit(RLIMIT_CORE, &none);
    sigaction(SIGALRM, &action, NULL);
    sigemptyset(&only);
    sigaddset(&only, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    alarm(LIMIT_S);
    /* A reader of the program's pipe gets its end when the program ends. */
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
#if defined(SYS_close_range)
    syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0);
#endif
}

static int in_copy(void *work) {
    limit_copy();
    outrider_heap_isolate();
    ((void (*)(void))work)();
    _exit(0);
}

/* Whether the copy is at work and not about to end. If it is about to end, waits for that: a caller
 * who already sees its file may request the next profile. */
static bool is_busy(void) {
    for (int turn = 0; turn < FINISHING_TURNS && is_at_work(); turn++) {
        if (!atomic_load(is_finishing)) return true;
        wait_a_turn();
    }
    return is_at_work();
}

static bool map_shared(void) {
    if (!is_finishing) {
        void *memory = mmap(NULL, sizeof *is_finishing, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return false;
        is_finishing = memory;
    }
    atomic_store(is_finishing, false);
    return true;
}

int outrider_copy_start(void (*work)(void), unsigned long stack_size) {
    if (is_busy()) return 0;
    if (!map_shared()) return errno;
    char *stack = mmap(NULL, stack_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return errno;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    /* No flags: no shared memory, and no signal at the end. */
    pid_t process = clone(in_copy, stack + stack_size, 0, (void *)work);
    int problem = process < 0 ? errno : 0;
    if (process > 0) atomic_store(&copy, process);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    munmap(stack, stack_size);
    return problem;
}

void outrider_copy_await(void) {
    for (int turn = 0; turn < WAIT_TURNS && is_at_work(); turn++) wait_a_turn();
}

void outrider_copy_is_finishing(void) {
    if (is_finishing) atomic_store(is_finishing, true);
}

int outrider_copy_problem(void) { return atomic_exchange(&ending_signal, 0); }

void outrider_copy_forget(void) {
    atomic_store(&copy, 0);
    atomic_store(&ending_signal, 0);
    /* Shared with the parent, which may have a copy. */
    is_finishing = NULL;
}
