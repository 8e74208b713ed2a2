// SPDX-License-Identifier: Apache-2.0
// Writes a line to standard error at once, or not at all.

#define _GNU_SOURCE
#include "outrider_output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Writes to a pipe or a terminal that cannot be reopened. A pipe that is ready accepts at least
 * PIPE_BUF bytes, so this only blocks if another writer fills it between the two calls. */
static bool write_if_ready(int descriptor, const void *line, size_t count) {
    struct pollfd ready = {.fd = descriptor, .events = POLLOUT};
    if (poll(&ready, 1, 0) != 1 || ready.revents != POLLOUT) return false;
    return write(descriptor, line, count) == (ssize_t)count;
}

/* Writes to a pipe or a terminal through its own open file description, without blocking. */
static bool write_without_waiting(int descriptor, const void *line, size_t count) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own < 0) {
        /* A pipe without a reader. */
        if (errno == ENXIO) return false;
        return write_if_ready(descriptor, line, count);
    }
    bool is_taken = write(own, line, count) == (ssize_t)count;
    close(own);
    return is_taken;
}

static bool write_line(int descriptor, const void *line, size_t count) {
    struct stat status;
    if (fstat(descriptor, &status) != 0) return false;
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) return false;
    if (S_ISSOCK(status.st_mode)) {
        return send(descriptor, line, count, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)count;
    }
    /* A write to a file does not block. Reopened, a file would be overwritten from its start. */
    bool can_wait = S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode);
    if (!can_wait || (flags & O_NONBLOCK) != 0) {
        return write(descriptor, line, count) == (ssize_t)count;
    }
    return write_without_waiting(descriptor, line, count);
}

bool outrider_write_line(int descriptor, const void *line, size_t count) {
    if (count > OUTRIDER_LINE_BYTES) return false;
    int saved = errno;
    outrider_quiet quiet;
    outrider_quiet_begin(&quiet);
    bool is_taken = write_line(descriptor, line, count);
    outrider_quiet_end(&quiet);
    errno = saved;
    return is_taken;
}
