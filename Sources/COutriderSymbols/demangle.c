/* SPDX-License-Identifier: Apache-2.0
 * The demanglers of the Swift and C++ runtimes, if the process has them: weak, so that a C program
 * that preloads the hooks needs neither.
 */
#define _POSIX_C_SOURCE 200809L
#include "outrider_symbols.h"

#include "expansion.h"

#include <stdlib.h>
#include <string.h>

/* libswiftCore's demangler for its own backtraces, which writes short names: `Shop.order(_:)`. */
extern char *_swift_backtrace_demangle(
    const char *name, size_t length, char *buffer, size_t *capacity) __attribute__((weak));
/* libswiftCore's general demangler, which writes modules, discriminators and full types
 * (SwiftShims, Demangle.h); cuts the name to the buffer, including its terminator. */
extern char *swift_demangle(
    const char *name, size_t length, char *buffer, size_t *capacity, uint32_t flags)
    __attribute__((weak));
/* The C++ ABI's demangler (Itanium C++ ABI 3.4); its result is allocated with malloc. */
extern char *__cxa_demangle(const char *name, char *buffer, size_t *length, int *status)
    __attribute__((weak));

/* Maximum number of parts of an expanded name: below a millisecond, and some 100 KiB of the
 * demangler's memory, for the worst names that compilers produce, of types that double themselves.
 * Of 400,000 functions of compilers, one in 100 is rejected. */
enum { MOST_PARTS = 1 << 20 };

static size_t take(const char *name, char *into, size_t capacity) {
    size_t length = strlen(name);
    if (length >= capacity) length = capacity - 1;
    memmove(into, name, length);
    into[length] = '\0';
    return length;
}

size_t outrider_symbols_demangle(const char *name, char *into, size_t capacity) {
    size_t length = strnlen(name, OUTRIDER_SYMBOLS_LONGEST + 1);
    if (capacity == 0 || length > OUTRIDER_SYMBOLS_LONGEST) return 0;
    int is_swift = strncmp(name, "$s", 2) == 0 || strncmp(name, "$S", 2) == 0
        || strncmp(name, "_T0", 3) == 0;
    if (!outrider_expands_within(name, length, is_swift, MOST_PARTS)) return 0;
    size_t room = capacity;
    if (is_swift) {
        into[0] = '\0';
        char *made = NULL;
        if (_swift_backtrace_demangle) made = _swift_backtrace_demangle(name, length, into, &room);
        else if (swift_demangle) made = swift_demangle(name, length, into, &room, 0);
        return made ? strnlen(into, capacity - 1) : 0;
    }
    if (strncmp(name, "_Z", 2) == 0 && __cxa_demangle) {
        int status = -1;
        char *readable = __cxa_demangle(name, NULL, NULL, &status);
        size_t taken = readable && status == 0 ? take(readable, into, capacity) : 0;
        free(readable);
        return taken;
    }
    return 0;
}
