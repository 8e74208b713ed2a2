/* SPDX-License-Identifier: Apache-2.0
 * The heap sampler for any program, through LD_PRELOAD.
 *
 *   OUTRIDER_HEAP_PROFILE    the path of the profile; `%p` is the process id, `%%` a percent sign.
 *                            If unset, nothing is sampled, and the hooks pass every call on.
 *   OUTRIDER_HEAP_INTERVAL   mean distance between two samples, in bytes; the default is 524288
 *
 * The profile is written when the program returns from main or calls exit, and on SIGUSR2 if that
 * signal has its default action. _exit, exec and signals that end the program write none. A forked
 * child that continues without exec writes its own profiles, on two conditions: the pattern has
 * `%p`, since it would otherwise replace its parent's file; and its parent had no other threads,
 * since one of them may have held the loader's lock, which is then never released in the child.
 *
 * If a program confines itself (seccomp), its profile is written right before that, and never
 * again: opening a file might end the process (confined.c).
 *
 * A program without threads stays without them: at the signal, a copy of the process writes the
 * profile (copy.h). In one with threads a thread does, which is started before the program's first
 * one (wake.h).
 *
 * This library must not disturb its host: it never writes to standard output, reports problems in
 * at most one line on standard error, keeps errno, leaves no descriptor open, and none of its
 * writes raises a signal. The active writer is identified by its process id, so that a forked child
 * does not mistake its parent's writer for its own.
 */
#define _GNU_SOURCE
#include "buffer.h"
#include "confined.h"
#include "copy.h"
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

/* How often exit checks whether the thread has finished, and how long it waits at most: 30 s. */
enum { WAIT_NS = 1000000, WAIT_TURNS = 30000 };

static char pattern[OUTRIDER_PATH_SIZE];
static pid_t first_process;
/* The same, or the forked child that this is; not that of a vfork, which shares its parent's
 * memory. */
static pid_t this_process;
/* Whether our system calls may now end the process; whether the last profile is due. */
static _Atomic(bool) is_confined, is_ending;
static int64_t start_ns;
static uint64_t interval = OUTRIDER_HEAP_DEFAULT_INTERVAL;
/* The id of the process that is writing, or 0. */
static _Atomic(pid_t) writing;
/* Whether the loader's lock was free at each fork that led to this process. */
static bool may_ask_loader = true;
/* For the forking thread: whether it took the writer's turn, and whether the loader's lock is
 * free. */
static __thread bool has_turn __attribute__((tls_model("initial-exec")));
static __thread bool is_lock_free __attribute__((tls_model("initial-exec")));

/* Writes one line or drops it; does not use stdio, which may be closed or locked. */
static void complain(const char *what, const char *detail, const char *more) {
    char line[512];
    int length = snprintf(line, sizeof line, "outrider-heap: %s%s%s\n", what, detail, more);
    if (length <= 0) return;
    if ((size_t)length >= sizeof line) {
        length = sizeof line - 1;
        line[length - 1] = '\n';
    }
    outrider_write_line(STDERR_FILENO, line, (size_t)length);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* If the stack may be too small for demanglers, names stay mangled. */
static bool may_demangle(void) {
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    outrider_stack_bounds bounds = outrider_stack_find_bounds(here);
    return bounds.low != 0 && here - bounds.low >= OUTRIDER_SYMBOLS_STACK;
}

/* One writer at a time. Static buffers: exit may be called on a thread with a few kilobytes of
 * stack. */
static void write_profile(pid_t process, bool is_demangled) {
    static char path[OUTRIDER_PATH_SIZE];
    if (!outrider_settings_expand(pattern, process, path, sizeof path)) {
        complain("no profile: the path is too long", "", "");
        return;
    }
    outrider_buffer profile = {0}, file = {0};
    outrider_pprof_write(
        &profile, (outrider_pprof_options){interval, start_ns, is_demangled});
    if (!profile.is_short) outrider_gzip(&file, profile.bytes, profile.size);
    outrider_copy_is_finishing();
    if (profile.is_short || file.is_short) {
        complain("no profile: out of memory", "", "");
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

/* Becomes the only writer; false if another thread of this process is writing and does not
 * finish. */
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

static void write_in_thread(void) {
    if (atomic_load(&is_confined) || !begin_writing(WAIT_TURNS)) return;
    write_profile(getpid(), may_demangle());
    atomic_store(&writing, 0);
}

/* Its stack is made for demanglers. */
static void write_in_copy(void) { write_profile(this_process, true); }

static bool may_write_here(void) {
    return getpid() == first_process
        || (may_ask_loader && outrider_settings_names_process(pattern));
}

/* Makes no system call in a confined process, which it might end. Not in the child of a vfork, which
 * would change its parent's memory. */
static bool may_write_now(void) {
    return !atomic_load(&is_confined) && !atomic_load(&is_ending) && getpid() == this_process
        && may_write_here();
}

/* The last moment at which a file can be written. */
static void write_before_confinement(void) {
    if (getpid() != this_process || atomic_exchange(&is_confined, true) || !may_write_here()) return;
    if (!begin_writing(WAIT_TURNS)) return;
    outrider_copy_await();
    write_profile(getpid(), may_demangle());
    atomic_store(&writing, 0);
    complain("the process enters seccomp confinement: its profile ends at this moment", "", "");
}

/* --- forks ------------------------------------------------------------------------------------ */

/* The number of threads of this process; very large if the kernel does not report it. */
static unsigned long count_threads(void) {
    struct stat tasks;
    /* One directory per thread, each with a link back to this one (proc_pid_task(5)). */
    return stat("/proc/thread-self/../", &tasks) == 0 && tasks.st_nlink > 2 ? tasks.st_nlink - 2
                                                                             : ULONG_MAX;
}

/* Keeps our threads from using the loader during a fork. */
static void before_fork(void) {
    int saved = errno;
    has_turn = is_lock_free = false;
    if (atomic_load(&is_confined)) return;
    has_turn = begin_writing(0);
    is_lock_free = has_turn && count_threads() <= (outrider_wake_has_thread() ? 2 : 1);
    errno = saved;
}

static void after_fork_in_parent(void) {
    if (has_turn) atomic_store(&writing, 0);
}

static void after_fork_in_child(void) {
    /* `writing` is the parent's id, which no thread here waits for. */
    if (!atomic_load(&is_confined)) this_process = getpid();
    may_ask_loader = may_ask_loader && is_lock_free;
    outrider_wake_after_fork();
}

/* --- the program's life ----------------------------------------------------------------------- */

/* Stores the absolute path, so that it stays valid if the program changes its directory. */
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
        complain("OUTRIDER_HEAP_INTERVAL is not a number of bytes, at least 1: ", wanted,
                 "; sampling every 524288");
}

static void begin(void) {
    const char *wanted = secure_getenv("OUTRIDER_HEAP_PROFILE");
    if (!wanted || wanted[0] == '\0') return;
    if (!outrider_settings_is_pattern(wanted) || !keep_pattern(wanted)) {
        complain("no profile: OUTRIDER_HEAP_PROFILE is not a path, or has a % not followed by p or %: ",
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
    /* The loader and other libraries have already allocated: without this, the first thread would
     * stay unsampled to the end of its megabyte, which many programs never reach. */
    outrider_heap_seed((uint64_t)start_ns ^ (uint64_t)first_process << 32);
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    outrider_before_confinement(write_before_confinement);
    outrider_wake_actions actions = {may_write_now, write_in_thread, write_in_copy};
    if (!outrider_wake_by_signal(actions, count_threads() > 1))
        complain("SIGUSR2 will not write a profile: its thread could not be started", "", "");
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
        atomic_store(&is_ending, true);
        /* It would replace the newer profile. */
        outrider_copy_await();
        write_profile(getpid(), may_demangle());
        /* Nothing is written after this: `writing` stays set. */
    }
    errno = saved;
}
