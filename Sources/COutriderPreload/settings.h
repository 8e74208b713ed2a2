/* SPDX-License-Identifier: Apache-2.0
 * What the environment asks for. */
#ifndef OUTRIDER_SETTINGS_H
#define OUTRIDER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Longest path of a profile, with its terminator (limits.h, PATH_MAX on Linux). */
#define OUTRIDER_PATH_SIZE 4096
/* What is added to it while the file is being written: a point, a process, ".tmp". */
#define OUTRIDER_PATH_SPARE 32

/* Reads a number of bytes; false if it is none, or none from 1 on that 64 bits hold. */
bool outrider_settings_interval(const char *text, uint64_t *bytes);

/* Whether a pattern of a path can be used: `%p` is the process, `%%` a percent sign, and nothing else is. */
bool outrider_settings_is_pattern(const char *pattern);
/* Whether the paths of two processes differ. */
bool outrider_settings_names_process(const char *pattern);
/* Writes the path of a process; false if it is longer than the capacity. */
bool outrider_settings_expand(const char *pattern, pid_t process, char *path, size_t capacity);

#endif
