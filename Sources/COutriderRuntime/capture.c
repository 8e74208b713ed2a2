/* SPDX-License-Identifier: Apache-2.0
 * The stack of another thread, captured by that thread in a signal handler.
 *
 *     caller                              hung thread
 *     state = WAITING, number n
 *     rt_tgsigqueueinfo(SIGPROF, n) ───▶  handler: WAITING, n → WRITING, n; walks; → DONE, n
 *     waits for DONE, n; then reads
 *     or gives up: WAITING, n → IDLE
 *
 * A late signal finds another number, or IDLE, and does nothing. The handler calls nothing that
 * allocates or locks, and keeps errno.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "outrider_runtime.h"
#include "outrider_stack.h"

enum { IDLE, WAITING, WRITING, DONE };
#define MAGIC UINT64_C(0x6f75747200000000) /* the upper half of the value of our signals */

static _Atomic(uint64_t) state; /* number * 4 + phase */
static uintptr_t frames[OUTRIDER_STACK_DEPTH];
static size_t frame_count;

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static atomic_int is_prepared;
static struct sigaction before; /* written once, before the handler can be called */

static outrider_stack_point point_of(const void *context) {
    outrider_stack_point point = {0, 0, 0};
#if defined(__x86_64__)
    const greg_t *registers = ((const ucontext_t *)context)->uc_mcontext.gregs;
    point.pc = (uintptr_t)registers[REG_RIP];
    point.sp = (uintptr_t)registers[REG_RSP];
    point.fp = (uintptr_t)registers[REG_RBP];
#elif defined(__aarch64__)
    const mcontext_t *machine = &((const ucontext_t *)context)->uc_mcontext;
    point.pc = machine->pc;
    point.sp = machine->sp;
    point.fp = machine->regs[29];
#else
    (void)context;
#endif
    return point;
}

static void pass_on(int number, siginfo_t *info, void *context) {
    if (before.sa_flags & SA_SIGINFO) {
        if (before.sa_sigaction) before.sa_sigaction(number, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    }
    /* By default the signal would end the process. Normally only a profiler's timer sends it, and
     * its owner has installed a handler; a stray signal is better ignored. */
}

static void handle(int number, siginfo_t *info, void *context) {
    uint64_t value = (uint64_t)(uintptr_t)info->si_value.sival_ptr;
    if (info->si_code != SI_QUEUE || (value & ~UINT64_C(0xffffffff)) != MAGIC ||
        info->si_pid != getpid()) {
        pass_on(number, info, context);
        return;
    }
    int error = errno;
    uint64_t mine = (value & 0xffffffff) * 4;
    uint64_t expected = mine + WAITING;
    if (atomic_compare_exchange_strong(&state, &expected, mine + WRITING)) {
        outrider_stack_point point = point_of(context);
        outrider_stack_bounds bounds = outrider_stack_find_bounds(point.sp);
        /* One past, like a return address, as in all other frames. */
        point.pc += 1;
        outrider_stack_end end;
        frame_count = outrider_stack_walk(point, bounds, frames, OUTRIDER_STACK_DEPTH, &end);
        atomic_store(&state, mine + DONE);
    }
    errno = error;
}

pid_t outrider_current_thread(void) { return (pid_t)syscall(SYS_gettid); }

int outrider_capture_prepare(void) {
    pthread_mutex_lock(&turn);
    int is_ours = atomic_load(&is_prepared);
    if (!is_ours) {
        struct sigaction action;
        memset(&action, 0, sizeof action);
        action.sa_sigaction = handle;
        action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
        sigfillset(&action.sa_mask);
        is_ours = sigaction(SIGPROF, NULL, &before) == 0 && sigaction(SIGPROF, &action, NULL) == 0;
        atomic_store(&is_prepared, is_ours);
    }
    pthread_mutex_unlock(&turn);
    return is_ours;
}

static int is_taken(void) {
    struct sigaction now;
    return sigaction(SIGPROF, NULL, &now) != 0 || !(now.sa_flags & SA_SIGINFO) ||
           now.sa_sigaction != handle;
}

static int send(pid_t thread, uint32_t number) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = SIGPROF;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = (void *)(uintptr_t)(MAGIC | number);
    return (int)syscall(SYS_rt_tgsigqueueinfo, getpid(), thread, SIGPROF, &info);
}

static int64_t milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int await(uint64_t wanted, int64_t deadline) {
    const struct timespec pause = {0, 200000};
    while (atomic_load(&state) != wanted) {
        if (milliseconds() >= deadline) return 0;
        nanosleep(&pause, NULL);
    }
    return 1;
}

static outrider_capture_result capture(
    pid_t thread, unsigned timeout_ms, uintptr_t *pcs, size_t limit, size_t *count) {
    if (!atomic_load(&is_prepared)) return OUTRIDER_CAPTURE_OFF;
    uint64_t last = atomic_load(&state);
    /* A handler that never finished may still write. */
    if (last % 4 == WRITING) return OUTRIDER_CAPTURE_OFF;
    if (is_taken()) return OUTRIDER_CAPTURE_TAKEN;
    uint32_t number = (uint32_t)(last / 4 + 1);
    uint64_t mine = (uint64_t)number * 4;
    atomic_store(&state, mine + WAITING);
    if (send(thread, number) != 0) {
        atomic_store(&state, mine + IDLE);
        return OUTRIDER_CAPTURE_NO_THREAD;
    }
    int64_t deadline = milliseconds() + timeout_ms;
    if (!await(mine + DONE, deadline)) {
        uint64_t expected = mine + WAITING;
        if (atomic_compare_exchange_strong(&state, &expected, mine + IDLE) ||
            !await(mine + DONE, deadline + 1000)) {
            return OUTRIDER_CAPTURE_TIMEOUT;
        }
    }
    *count = frame_count < limit ? frame_count : limit;
    memcpy(pcs, frames, *count * sizeof *pcs);
    return OUTRIDER_CAPTURE_DONE;
}

outrider_capture_result outrider_capture(
    pid_t thread, unsigned timeout_ms, uintptr_t *pcs, size_t limit, size_t *count) {
    *count = 0;
    pthread_mutex_lock(&turn);
    outrider_capture_result result = capture(thread, timeout_ms, pcs, limit, count);
    pthread_mutex_unlock(&turn);
    return result;
}
