/* SPDX-License-Identifier: Apache-2.0
 * The heap sampler for a program that knows nothing of it.
 *
 *   LD_PRELOAD=liboutrider-heap.so OUTRIDER_HEAP_PROFILE=/tmp/heap.%p.pb.gz PROGRAM
 *
 * OUTRIDER_HEAP_PROFILE   the file to write when the program exits, and on SIGUSR2 if that signal has its
 *                         default action. %p is the process' id, %% is %. Without it, nothing is sampled.
 * OUTRIDER_HEAP_INTERVAL  mean bytes between two samples; 524288 unless it is set, 1 samples everything.
 *
 * A child that was forked writes a file of its own if the name has a %p, else none. A program that ends
 * by _exit(2), exec(2) or a signal writes none. Besides the signal and a thread that waits for it,
 * the program is left as it is: nothing on its standard output, no descriptor, no variable.
 */
#define _GNU_SOURCE
#include "outrider_heap.h"
#include "outrider_stack.h"
#include "profile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Stack of the thread that writes on a signal. */
enum { WRITER_STACK = 512 * 1024 };

static char pattern[PATH_MAX];
static pid_t first_process;
static sem_t wanted;
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

/* A line on standard error. */
__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...) {
    char line[PATH_MAX + 256] = "outrider: ";
    size_t length = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + length, sizeof line - length - 1, format, arguments);
    va_end(arguments);
    length = strlen(line);
    line[length++] = '\n';
    if (write(STDERR_FILENO, line, length) < 0) return;
}

/* Puts the process' id into the pattern; whether it fits. `has_pid` tells whether there was a %p. */
static bool expand(char *path, size_t capacity, bool *has_pid) {
    size_t at = 0;
    *has_pid = false;
    for (const char *from = pattern; *from; from++) {
        int added = 1;
        if (at + 1 >= capacity) return false;
        if (from[0] == '%' && from[1] == 'p') {
            added = snprintf(path + at, capacity - at, "%ld", (long)getpid());
            *has_pid = true;
            from++;
        } else {
            path[at] = *from;
            if (from[0] == '%' && from[1] == '%') from++;
        }
        if (added < 0 || (size_t)added >= capacity - at) return false;
        at += (size_t)added;
    }
    path[at] = '\0';
    return true;
}

static bool write_all(int descriptor, const uint8_t *bytes, size_t count) {
    while (count > 0) {
        ssize_t written = write(descriptor, bytes, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        bytes += written;
        count -= (size_t)written;
    }
    return true;
}

/* Writes the file beside its place first, so that nobody reads half of it. */
static void store(const buffer *content, const char *path) {
    char beside[PATH_MAX + 16];
    snprintf(beside, sizeof beside, "%s.part", path);
    int descriptor = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
    bool is_written = descriptor >= 0 && write_all(descriptor, content->bytes, content->count);
    if (descriptor >= 0 && close(descriptor) != 0) is_written = false;
    if (!is_written || rename(beside, path) != 0) {
        complain("the heap profile cannot be written to %s: %s", path, strerror(errno));
        if (descriptor >= 0) unlink(beside);
    }
}

static void write_profile(void) {
    char path[PATH_MAX];
    bool has_pid;
    int saved = errno;
    if (!expand(path, sizeof path, &has_pid)) {
        complain("OUTRIDER_HEAP_PROFILE makes too long a name; there is no heap profile");
    } else if (has_pid || getpid() == first_process) {
        pthread_mutex_lock(&writing);
        buffer content = {0};
        outrider_preload_write_profile(&content, outrider_heap_interval());
        buffer_gzip(&content);
        if (content.has_failed)
            complain("there is no memory for the heap profile");
        else
            store(&content, path);
        buffer_free(&content);
        pthread_mutex_unlock(&writing);
    }
    errno = saved;
}

/* --- the signal --------------------------------------------------------------------------------------- */

static void on_signal(int number) {
    (void)number;
    int saved = errno;
    sem_post(&wanted);
    errno = saved;
}

static void *write_on_demand(void *unused) {
    for (;;) {
        while (sem_wait(&wanted) != 0) continue;
        write_profile();
    }
    return unused;
}

static void listen_for_signal(void) {
    struct sigaction action;
    if (sigaction(SIGUSR2, NULL, &action) != 0 || action.sa_flags & SA_SIGINFO
        || action.sa_handler != SIG_DFL || sem_init(&wanted, 0, 0) != 0)
        return;
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, WRITER_STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    /* The program's signals are not for this thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, &attributes, write_on_demand, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (failed) return;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR2, &action, NULL);
}

/* --- start and end ------------------------------------------------------------------------------------ */

static uint64_t wanted_interval(void) {
    const char *text = secure_getenv("OUTRIDER_HEAP_INTERVAL");
    if (!text || !*text) return OUTRIDER_HEAP_DEFAULT_INTERVAL;
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno == 0 && *end == '\0' && number > 0 && text[0] != '-') return number;
    complain(
        "OUTRIDER_HEAP_INTERVAL is \"%s\", which is no number of bytes; %d holds", text,
        OUTRIDER_HEAP_DEFAULT_INTERVAL);
    return OUTRIDER_HEAP_DEFAULT_INTERVAL;
}

__attribute__((constructor)) static void begin(void) {
    int saved = errno;
    const char *name = secure_getenv("OUTRIDER_HEAP_PROFILE");
    if (name && *name) {
        first_process = getpid();
        if (strlen(name) >= sizeof pattern) {
            complain("OUTRIDER_HEAP_PROFILE is too long a name; there will be no heap profile");
        } else {
            strcpy(pattern, name);
            outrider_stack_prepare_tables();
            if (outrider_heap_start(wanted_interval()) == OUTRIDER_HEAP_SAMPLING) {
                listen_for_signal();
            } else {
                complain("there will be no heap profile: %s", outrider_heap_refusal());
                pattern[0] = '\0';
            }
        }
    }
    errno = saved;
}

__attribute__((destructor)) static void end(void) {
    if (pattern[0]) write_profile();
}
