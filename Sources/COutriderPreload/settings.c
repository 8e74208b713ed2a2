/* SPDX-License-Identifier: Apache-2.0
 * The two environment variables, parsed without allocations or locales.
 */
#include "settings.h"

#include <string.h>

bool outrider_settings_interval(const char *text, uint64_t *bytes) {
    uint64_t number = 0;
    for (const char *at = text; *at; at++) {
        if (*at < '0' || *at > '9') return false;
        if (__builtin_mul_overflow(number, (uint64_t)10, &number)
            || __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
            return false;
    }
    if (number == 0) return false;
    *bytes = number;
    return true;
}

bool outrider_settings_is_pattern(const char *pattern) {
    if (*pattern == '\0') return false;
    for (const char *at = pattern; *at; at++)
        if (*at == '%' && *++at != 'p' && *at != '%') return false;
    return strlen(pattern) < OUTRIDER_PATH_SIZE;
}

bool outrider_settings_names_process(const char *pattern) {
    for (const char *at = pattern; *at; at++)
        if (*at == '%' && *++at == 'p') return true;
    return false;
}

/* Writes the decimal digits of a process id; returns their number. */
static size_t add_process(pid_t process, char *into) {
    char digits[24];
    size_t count = 0;
    unsigned long rest = process > 0 ? (unsigned long)process : 0;
    do {
        digits[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    for (size_t i = 0; i < count; i++) into[i] = digits[count - 1 - i];
    return count;
}

bool outrider_settings_expand(const char *pattern, pid_t process, char *path, size_t capacity) {
    char number[24];
    size_t digits = add_process(process, number), length = 0;
    for (const char *at = pattern; *at; at++) {
        bool is_process = *at == '%' && *++at == 'p';
        const char *piece = is_process ? number : at;
        size_t size = is_process ? digits : 1;
        if (size >= capacity - length) return false;
        memcpy(path + length, piece, size);
        length += size;
    }
    path[length] = '\0';
    return length > 0;
}
