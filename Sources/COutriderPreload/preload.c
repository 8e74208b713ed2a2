/* SPDX-License-Identifier: Apache-2.0
 * The heap sampler for any program, by LD_PRELOAD.
 *
 *   OUTRIDER_HEAP_PROFILE    where the profile goes; `%p` is the process, `%%` a percent sign. Without it
 *                            nothing is sampled, and the hooks pass every call on.
 *   OUTRIDER_HEAP_INTERVAL   mean distance of two samples, in bytes; 524288 unless given
 *
 * The profile is written when the program returns from main or calls exit, and on SIGUSR2 where that signal
 * has its default action. _exit, exec and signals that end the program write none. A child of a fork that
 * goes on without exec writes one of its own at its end if the pattern has `%p`, since it would take its
 * parent's name otherwise, and if its parent had no other threads: one of those may have held the loader's
 * lock, which nobody lets go of in the child. The signal does nothing there, as the thread that it wakes
 * stayed behind.
 *
 * A program that confines itself (seccomp) has its profile written right before that, and no other one: to open
 * a file might end it (confined.c).
 *
 * To wait for SIGUSR2 takes a thread, and a program with two cannot enter a user namespace (unshare(2)): who
 * needs that starts it with the signal ignored, which leaves the thread out.
 *
 * We are guests: nothing is ever written to standard output, one line at most says what is wrong to standard
 * error, errno stays, no descriptor stays open, no write of ours raises a signal. Whether a writer is at work is the
 * number of its process, so that a child of a fork that had a writer is not taken for it.
 */
#define _GNU_SOURCE
#include "buffer.h"
#include "confined.h"
#include "file.h"
#include "gzip.h"
#include "pprof.h"
#include "settings.h"
#include "wake.h"

#include "outrider_heap.h"
#include "outrider_output.h"
#include "outrider_stack.h"
#include "outrider_symbols.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How often exit looks whether the thread has finished, and how long it waits at most: 30 s. */
enum { WAIT_NS = 1000000, WAIT_TURNS = 30000 };

static char pattern[OUTRIDER_PATH_SIZE];
static pid_t first_process;
/* The same, or the child of a fork that this is: not that of a vfork, which has its parent's memory. */
static pid_t this_process;
/* Whether a system call of ours may end the process by now. */
static _Atomic(bool) is_confined;
static int64_t start_ns;
static uint64_t interval = OUTRIDER_HEAP_DEFAULT_INTERVAL;
/* The process that is writing, or 0. */
static _Atomic(pid_t) writing;
/* The first thread and the one that waits for the signal. */
static unsigned long own_threads = 1;
/* Whether the loader's lock was free at each fork that led to this process. */
static bool may_ask_loader = true;
/* Of the thread that forks: whether it took the writer's turn, and whether the lock is free. */
static __thread bool has_turn __attribute__((tls_model("initial-exec")));
static __thread bool is_lock_free __attribute__((tls_model("initial-exec")));

/* Says one line, or loses it; never through stdio, which may be closed or locked by now. */
static void complain(const char *what, const char *detail, const char *more) {
    char line[512];
    int length = snprintf(line, sizeof line, "outrider-heap: %s%s%s\n", what, detail, more);
    if (length <= 0) return;
    if ((size_t)length >= sizeof line) {
        length = sizeof line - 1;
        line[length - 1] = '\n';
    }
    outrider_say(STDERR_FILENO, line, (size_t)length);
}

/* --- writing ---------------------------------------------------------------------------------------- */

/* On less stack than demanglers may need names stay as they are. */
static bool may_demangle(void) {
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    outrider_stack_bounds bounds = outrider_stack_find_bounds(here);
    return bounds.low != 0 && here - bounds.low >= OUTRIDER_SYMBOLS_STACK;
}

/* One writer at a time; exit may be called on a thread with a few kilobytes of stack. */
static void write_profile(void) {
    static char path[OUTRIDER_PATH_SIZE];
    if (!outrider_settings_expand(pattern, getpid(), path, sizeof path)) {
        complain("no profile: the path is too long", "", "");
        return;
    }
    outrider_buffer profile = {0}, file = {0};
    outrider_pprof_write(
        &profile, (outrider_pprof_options){interval, start_ns, may_demangle()});
    if (!profile.is_short) outrider_gzip(&file, profile.bytes, profile.size);
    if (profile.is_short || file.is_short) {
        complain("no profile: there is no memory for it", "", "");
    } else {
        const char *problem = outrider_file_replace(path, file.bytes, file.size);
        if (problem) {
            char detail[256];
            snprintf(detail, sizeof detail, ": cannot %s: %s", problem, strerrordesc_np(errno));
            complain("no profile ", path, detail);
        }
    }
    outrider_buffer_close(&profile);
    outrider_buffer_close(&file);
}

/* Becomes the only writer; false if another thread of this process is one and does not get done. */
static bool begin_writing(int turns) {
    pid_t own = getpid();
    for (pid_t writer = atomic_load(&writing);; turns--) {
        while (writer != own)
            if (atomic_compare_exchange_strong(&writing, &writer, own)) return true;
        if (turns <= 0) return false;
        nanosleep(&(struct timespec){0, WAIT_NS}, NULL);
        writer = atomic_load(&writing);
    }
}

static void write_when_signalled(void) {
    if (atomic_load(&is_confined) || !begin_writing(WAIT_TURNS)) return;
    write_profile();
    atomic_store(&writing, 0);
}

static bool may_write_here(void) {
    return getpid() == first_process
        || (may_ask_loader && outrider_settings_names_process(pattern));
}

/* The last moment at which a file may be written. */
static void write_before_confinement(void) {
    if (getpid() != this_process || atomic_exchange(&is_confined, true) || !may_write_here()) return;
    if (!begin_writing(WAIT_TURNS)) return;
    write_profile();
    atomic_store(&writing, 0);
    complain("the process confines itself by seccomp: its profile is of this moment", "", "");
}

/* --- forks ---------------------------------------------------------------------------------------------- */

/* The threads of this process; very many where the kernel does not say. */
static unsigned long count_threads(void) {
    struct stat tasks;
    /* A folder for each, which links back to this one (proc_pid_task(5)). */
    return stat("/proc/thread-self/../", &tasks) == 0 && tasks.st_nlink > 2 ? tasks.st_nlink - 2
                                                                             : ULONG_MAX;
}

/* Nobody of ours asks the loader for anything while the process is forked. */
static void before_fork(void) {
    int saved = errno;
    has_turn = is_lock_free = false;
    if (atomic_load(&is_confined)) return;
    has_turn = begin_writing(0);
    is_lock_free = has_turn && count_threads() <= own_threads;
    errno = saved;
}

static void after_fork_in_parent(void) {
    if (has_turn) atomic_store(&writing, 0);
}

static void after_fork_in_child(void) {
    /* `writing` names the parent, which nobody waits for. */
    if (!atomic_load(&is_confined)) this_process = getpid();
    may_ask_loader = may_ask_loader && is_lock_free;
}

/* --- the program's life ------------------------------------------------------------------------------- */

/* Takes a path over, in full, so that it holds wherever the program goes. */
static bool keep_pattern(const char *wanted) {
    size_t length = 0;
    if (wanted[0] != '/') {
        char folder[OUTRIDER_PATH_SIZE / 2];
        if (!getcwd(folder, sizeof folder)) return false;
        for (const char *at = folder; *at; at++) {
            if (*at == '%') pattern[length++] = '%';
            pattern[length++] = *at;
        }
        pattern[length++] = '/';
    }
    if (strlen(wanted) >= sizeof pattern - length) {
        pattern[0] = '\0';
        return false;
    }
    memcpy(pattern + length, wanted, strlen(wanted) + 1);
    return true;
}

static void read_interval(void) {
    const char *wanted = secure_getenv("OUTRIDER_HEAP_INTERVAL");
    if (wanted && !outrider_settings_interval(wanted, &interval))
        complain("OUTRIDER_HEAP_INTERVAL is no number of bytes from 1 on: ", wanted,
                 "; sampling every 524288");
}

static void begin(void) {
    const char *wanted = secure_getenv("OUTRIDER_HEAP_PROFILE");
    if (!wanted || wanted[0] == '\0') return;
    if (!outrider_settings_is_pattern(wanted) || !keep_pattern(wanted)) {
        complain("no profile: OUTRIDER_HEAP_PROFILE is no path, or has a % before neither p nor %: ",
                 wanted, "");
        return;
    }
    read_interval();
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    start_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    first_process = this_process = getpid();
    outrider_stack_prepare_tables();
    if (outrider_heap_start(interval) != OUTRIDER_HEAP_SAMPLING) {
        complain("no profile: ", outrider_heap_refusal(), "");
        pattern[0] = '\0';
        return;
    }
    /* The loader and other libraries have allocated: without this the first thread would go on unsampled to
     * the end of its megabyte, which many a program never reaches. */
    outrider_heap_seed((uint64_t)start_ns ^ (uint64_t)first_process << 32);
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    outrider_before_confinement(write_before_confinement);
    unsigned long others = count_threads();
    if (!outrider_wake_by_signal(write_when_signalled))
        complain("SIGUSR2 writes no profile: there is no thread for it", "", "");
    if (others != ULONG_MAX) own_threads += count_threads() - others;
}

/* Runs before main. */
__attribute__((constructor)) static void outrider_preload_begin(void) {
    int saved = errno;
    begin();
    errno = saved;
}

/* Runs after main and after what the program registered with atexit. */
__attribute__((destructor)) static void outrider_preload_end(void) {
    int saved = errno;
    bool may_write = pattern[0] != '\0' && !atomic_load(&is_confined) && may_write_here();
    if (may_write && begin_writing(WAIT_TURNS)) {
        outrider_heap_stop();
        write_profile();
        /* Nobody writes after this: `writing` stays taken. */
    }
    errno = saved;
}
