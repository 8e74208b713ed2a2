/* SPDX-License-Identifier: Apache-2.0
 * The settings in the environment. */
#ifndef OUTRIDER_SETTINGS_H
#define OUTRIDER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Longest path of a profile, with its terminator (limits.h, PATH_MAX on Linux). */
#define OUTRIDER_PATH_SIZE 4096
/* Room for the suffix of the temporary file: a point, a process id, ".tmp". */
#define OUTRIDER_PATH_SPARE 32

/* Parses a number of bytes; false unless it is at least 1 and fits into 64 bits. */
bool outrider_settings_interval(const char *text, uint64_t *bytes);

/* Whether a path pattern is valid: `%p` is the process id, `%%` a percent sign, and no other escape
 * exists. */
bool outrider_settings_is_pattern(const char *pattern);
/* Whether the pattern gives different paths to different processes. */
bool outrider_settings_names_process(const char *pattern);
/* Writes the path of a process; false if it exceeds the capacity. */
bool outrider_settings_expand(const char *pattern, pid_t process, char *path, size_t capacity);

#endif
