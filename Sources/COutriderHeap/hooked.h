/* SPDX-License-Identifier: Apache-2.0
 * Whether this build has hooks, and common attributes.
 *
 * Sanitizers have their own malloc, and a second one next to it crashes the program at start. A
 * libc without a next allocator (a static musl) leaves nothing to pass calls on to.
 */
#ifndef OUTRIDER_HEAP_HOOKED_H
#define OUTRIDER_HEAP_HOOKED_H

#if defined(__linux__)
#include <features.h>
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) \
    || __has_feature(memory_sanitizer) || __has_feature(leak_sanitizer)
#define OUTRIDER_HEAP_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OUTRIDER_HEAP_SANITIZED 1
#endif

#if defined(__linux__) && defined(__GLIBC__) && !defined(OUTRIDER_HEAP_SANITIZED)
#define OUTRIDER_HEAP_HOOKED 1
#else
#define OUTRIDER_HEAP_HOOKED 0
#endif

/* The tables do not depend on the hooks: they are built, and tested, on every Linux. */
#if defined(__linux__)
#define OUTRIDER_HEAP_TABLES 1
#else
#define OUTRIDER_HEAP_TABLES 0
#endif

#define HIDDEN __attribute__((visibility("hidden")))
#define COLD __attribute__((cold, noinline)) HIDDEN
#define EXPORTED __attribute__((visibility("default")))
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

#endif
