/* SPDX-License-Identifier: Apache-2.0
 * Finds the next allocator behind the hooks.
 *
 * dlsym(RTLD_NEXT) returns the functions that the program would call without us: glibc's malloc,
 * that of a jemalloc or mimalloc that is linked or preloaded, or glibc's malloc checks
 * (libc_malloc_debug). The functions are looked up at the first allocation, before any block is
 * returned, so that a block of one allocator is never passed to another. If the lookup itself
 * allocates, it is served from a small static arena, whose blocks are never freed.
 */
#define _GNU_SOURCE
#include "hooked.h"

#if OUTRIDER_HEAP_HOOKED
#include "next.h"

#include "blocks.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

/* glibc's own functions, in case dlsym finds nothing after us. */
extern void *__libc_malloc(size_t) __attribute__((weak));
extern void __libc_free(void *) __attribute__((weak));
extern void *__libc_calloc(size_t, size_t) __attribute__((weak));
extern void *__libc_realloc(void *, size_t) __attribute__((weak));
extern void *__libc_memalign(size_t, size_t) __attribute__((weak));
extern void *__libc_valloc(size_t) __attribute__((weak));
extern void *__libc_pvalloc(size_t) __attribute__((weak));

enum { UNKNOWN, LOOKING, KNOWN, NOTHING };
static _Atomic(int) progress = UNKNOWN;
static __thread int is_looking __attribute__((tls_model("initial-exec")));
static const char *_Atomic problem;
/* Turns that other threads wait for the lookup before they are served from the arena. */
enum { PATIENCE = 1000 };

/* --- boot blocks ------------------------------------------------------------------------------ */

/* If dlsym needs memory at all, it needs a few hundred bytes. */
enum { ARENA_SIZE = 64 * 1024, HEAD = 16 };
static _Alignas(16) char arena[ARENA_SIZE];
static _Atomic(size_t) arena_used;

static void *boot_allocate(size_t alignment, size_t size) {
    if (alignment < HEAD) alignment = HEAD;
    if (size > ARENA_SIZE || alignment > 4096) goto refuse;
    size_t room = HEAD + alignment + ((size + 15) & ~(size_t)15);
    size_t at = atomic_fetch_add_explicit(&arena_used, room, memory_order_relaxed);
    if (at > ARENA_SIZE - room || room > ARENA_SIZE) goto refuse;
    uintptr_t block = ((uintptr_t)arena + at + HEAD + alignment - 1) & ~(uintptr_t)(alignment - 1);
    ((size_t *)block)[-1] = size;
    /* So that free notices that it does not belong to the next allocator. */
    outrider_heap_filter_add((void *)block);
    return (void *)block;
refuse:
    problem = "looking up the next allocator needed too much memory";
    errno = ENOMEM;
    return NULL;
}

bool outrider_heap_is_boot_block(const void *block) {
    return (uintptr_t)block - (uintptr_t)arena < ARENA_SIZE;
}

size_t outrider_heap_boot_block_size(const void *block) {
    return ((const size_t *)block)[-1];
}

void *outrider_heap_move_boot_block(void *block, size_t size) {
    size_t old = outrider_heap_boot_block_size(block);
    void *moved = outrider_heap_next.malloc(size);
    if (moved) memcpy(moved, block, old < size ? old : size);
    return moved;
}

/* --- the first calls -------------------------------------------------------------------------- */

/* Whether the next allocator is known; if not, the call comes from within the lookup. */
static bool is_known(void) {
    outrider_heap_find_next();
    return atomic_load_explicit(&progress, memory_order_acquire) == KNOWN;
}

static void *first_malloc(size_t size) {
    return is_known() ? outrider_heap_next.malloc(size) : boot_allocate(HEAD, size);
}

static void first_free(void *block) {
    if (block && is_known()) outrider_heap_next.free(block);
}

static void *first_calloc(size_t count, size_t size) {
    if (is_known()) return outrider_heap_next.calloc(count, size);
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) bytes = SIZE_MAX;
    return boot_allocate(HEAD, bytes); /* never used before, so it is zero */
}

static void *first_realloc(void *block, size_t size) {
    if (is_known()) return outrider_heap_next.realloc(block, size);
    /* Boot blocks go to outrider_heap_move_boot_block; any other block would be foreign. */
    return block ? NULL : boot_allocate(HEAD, size);
}

static int first_posix_memalign(void **block, size_t alignment, size_t size) {
    if (is_known()) return outrider_heap_next.posix_memalign(block, alignment, size);
    void *found = boot_allocate(alignment, size);
    if (!found) return ENOMEM;
    *block = found;
    return 0;
}

static void *first_aligned_alloc(size_t alignment, size_t size) {
    return is_known() ? outrider_heap_next.aligned_alloc(alignment, size)
                      : boot_allocate(alignment, size);
}

static void *first_memalign(size_t alignment, size_t size) {
    return is_known() ? outrider_heap_next.memalign(alignment, size) : boot_allocate(alignment, size);
}

static void *first_valloc(size_t size) {
    return is_known() ? outrider_heap_next.valloc(size) : boot_allocate(4096, size);
}

static void *first_pvalloc(size_t size) {
    return is_known() ? outrider_heap_next.pvalloc(size)
                      : boot_allocate(4096, (size + 4095) & ~(size_t)4095);
}

static size_t first_malloc_usable_size(void *block) {
    return is_known() && block ? outrider_heap_next.malloc_usable_size(block) : 0;
}

HIDDEN struct outrider_heap_next outrider_heap_next = {
    first_malloc,       first_free,          first_calloc,   first_realloc, first_posix_memalign,
    first_aligned_alloc, first_memalign,     first_valloc,   first_pvalloc, first_malloc_usable_size,
};

/* --- the lookup ------------------------------------------------------------------------------- */

static int fallback_posix_memalign(void **block, size_t alignment, size_t size) {
    if (alignment % sizeof(void *) || (alignment & (alignment - 1)) || alignment == 0) return EINVAL;
    void *found = outrider_heap_next.memalign(alignment, size);
    if (!found) return ENOMEM;
    *block = found;
    return 0;
}

static size_t fallback_usable_size(void *block) {
    (void)block;
    return 0;
}

/* The symbol versions that programs request. */
#if defined(__x86_64__)
static const char *const versions[] = {"GLIBC_2.2.5", "GLIBC_2.16"};
#elif defined(__aarch64__)
static const char *const versions[] = {"GLIBC_2.17"};
#else
static const char *const versions[] = {"GLIBC_2.0"};
#endif

/* Whether the loader searches the file of one function before that of another. */
static bool is_before(void *function, void *other) {
    Dl_info info;
    struct link_map *first = NULL, *second = NULL;
    if (!dladdr1(function, &info, (void **)&first, RTLD_DL_LINKMAP)) return false;
    if (!dladdr1(other, &info, (void **)&second, RTLD_DL_LINKMAP)) return true;
    if (first == second) return false;
    while (first && first != second) first = first->l_next;
    return first != NULL;
}

/* dlsym skips symbols with a version that is not the default, as in libc_malloc_debug; dlvsym skips
 * symbols without a version. A call is bound to the first symbol of either kind. */
void *outrider_heap_called(void *where, const char *name) {
    void *found = dlsym(where, name);
    for (size_t each = 0; each < sizeof versions / sizeof *versions; each++) {
        void *versioned = dlvsym(where, name, versions[each]);
        /* Mostly it is the same. Looking up a function's file is slow: dladdr reads all symbols of
         * the file. */
        if (versioned && versioned != found && (!found || is_before(versioned, found)))
            found = versioned;
    }
    return found;
}

/* The next function called `name`, or the fallback. */
static void *next_called(const char *name, void *fallback) {
    void *found = outrider_heap_called(RTLD_NEXT, name);
    if (!found && fallback) problem = "a function of the next allocator was not found";
    return found ? found : fallback;
}

/* Looks up every function; false if there is no allocator at all. */
static bool look_up(void) {
    struct outrider_heap_next found;
    /* malloc and free first: without them, calls cannot be passed on. */
    found.malloc = next_called("malloc", (void *)__libc_malloc);
    found.free = next_called("free", (void *)__libc_free);
    found.calloc = next_called("calloc", (void *)__libc_calloc);
    found.realloc = next_called("realloc", (void *)__libc_realloc);
    found.memalign = next_called("memalign", (void *)__libc_memalign);
    found.aligned_alloc = next_called("aligned_alloc", (void *)found.memalign);
    found.posix_memalign = next_called("posix_memalign", (void *)fallback_posix_memalign);
    found.valloc = next_called("valloc", (void *)__libc_valloc);
    found.pvalloc = next_called("pvalloc", (void *)__libc_pvalloc);
    found.malloc_usable_size = next_called("malloc_usable_size", (void *)fallback_usable_size);
    if (!found.malloc || !found.free || !found.calloc || !found.realloc) {
        problem = "no allocator was found behind the hooks";
        return false;
    }
    outrider_heap_next = found;
    return true;
}

void outrider_heap_find_next(void) {
    if (atomic_load_explicit(&progress, memory_order_acquire) >= KNOWN || is_looking) return;
    int unknown = UNKNOWN;
    if (atomic_compare_exchange_strong(&progress, &unknown, LOOKING)) {
        int saved = errno;
        is_looking = 1;
        int end = look_up() ? KNOWN : NOTHING;
        is_looking = 0;
        /* ORDERING: release; a thread that sees KNOWN sees the functions. Other threads read them
         * without synchronization, and find either the initial functions, which come here, or the
         * real ones. */
        atomic_store_explicit(&progress, end, memory_order_release);
        errno = saved;
        return;
    }
    /* Another thread is looking. It may wait for a lock of the loader that this thread holds. */
    for (int turn = 0; turn < PATIENCE; turn++) {
        if (atomic_load_explicit(&progress, memory_order_acquire) >= KNOWN) return;
        sched_yield();
    }
}

const char *outrider_heap_next_problem(void) {
    outrider_heap_find_next();
    return problem;
}

const char *outrider_heap_next_file(void) {
    Dl_info info;
    outrider_heap_find_next();
    if (!dladdr((void *)outrider_heap_next.malloc, &info) || !info.dli_fname) return "";
    return info.dli_fname;
}
#endif
