/* SPDX-License-Identifier: Apache-2.0
 * A file that is there as a whole or not at all. */
#ifndef OUTRIDER_FILE_H
#define OUTRIDER_FILE_H

#include <stddef.h>

/* Writes a file that its owner alone may read, in place of the one of that name; NULL, or what failed, with
 * errno. It grows beside its place under another name, so a reader never sees half of it.
 *
 * What is no plain file, such as /dev/null, is not replaced. Leaves no descriptor open. One caller at
 * a time. */
const char *outrider_file_replace(const char *path, const void *bytes, size_t count);

#endif
