/* SPDX-License-Identifier: Apache-2.0
 * Writes a profile's file, with system calls only.
 */
#define _GNU_SOURCE
#include "file.h"

#include "outrider_output.h"
#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A name that no other process uses: the path, the process id and a suffix. */
static bool temporary_name(const char *path, char *into) {
    size_t length = strlen(path);
    if (length >= OUTRIDER_PATH_SIZE) return false;
    memcpy(into, path, length);
    return outrider_settings_expand(".%p.tmp", getpid(), into + length, OUTRIDER_PATH_SPARE);
}

static int create(const char *name) {
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int descriptor = open(name, flags, 0600);
    if (descriptor >= 0 || errno != EEXIST) return descriptor;
    /* Left by a process with the same id that did not finish. */
    if (unlink(name) != 0) return -1;
    return open(name, flags, 0600);
}

static bool write_all(int descriptor, const uint8_t *bytes, size_t count) {
    /* A write past the file size limit raises SIGXFSZ, which ends the process. */
    outrider_quiet quiet;
    outrider_quiet_begin(&quiet);
    while (count > 0) {
        ssize_t written = write(descriptor, bytes, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) break;
        bytes += written;
        count -= (size_t)written;
    }
    outrider_quiet_end(&quiet);
    return count == 0;
}

const char *outrider_file_replace(const char *path, const void *bytes, size_t count) {
    static char name[OUTRIDER_PATH_SIZE + OUTRIDER_PATH_SPARE];
    struct stat status;
    if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        errno = EEXIST;
        return "replace a path that is not a regular file";
    }
    if (!temporary_name(path, name)) {
        errno = ENAMETOOLONG;
        return "name a temporary file beside it";
    }
    int descriptor = create(name);
    if (descriptor < 0) return "create a temporary file beside it";
    const char *problem = write_all(descriptor, bytes, count) ? NULL : "write it";
    int saved = errno;
    if (close(descriptor) != 0 && !problem) {
        problem = "write it";
        saved = errno;
    }
    if (!problem && rename(name, path) != 0) {
        problem = "rename the temporary file";
        saved = errno;
    }
    if (problem) unlink(name);
    errno = saved;
    return problem;
}
