/* SPDX-License-Identifier: Apache-2.0
 * Atomic replacement of a file. */
#ifndef OUTRIDER_FILE_H
#define OUTRIDER_FILE_H

#include <stddef.h>

/* Writes a file that only its owner can read, replacing the file of that name; returns NULL, or
 * what failed, with errno. The file is written under a temporary name next to it, so readers never
 * see a partial file.
 *
 * A path that is not a regular file, such as /dev/null, is not replaced. Leaves no descriptor open.
 * One caller at a time. */
const char *outrider_file_replace(const char *path, const void *bytes, size_t count);

#endif
