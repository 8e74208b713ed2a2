/* SPDX-License-Identifier: Apache-2.0
 * C++'s operator new and delete.
 *
 * The standard library's call malloc and free, so the hooks would see them anyway, but from inside of a
 * function without a frame, which hides the one that said `new`. So we do what that library does.
 * Where somebody else's operators are next, a pool's perhaps, every call goes on to those. Weak, so that a
 * program's own operators win without a clash when it is linked.
 */
#define _GNU_SOURCE
#include "hooks.h"

#if OUTRIDER_HEAP_HOOKED
#include "next.h"
#include "sampler.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

/* The operators by their mangled names (Itanium C++ ABI 5.1.5): new and new[], each for a size, with
 * an alignment, without exceptions, and with both; delete and delete[], with more forms. */
#define OPERATOR EXPORTED __attribute__((weak))

enum { UNDECIDED, BY_MALLOC, BY_NEXT };
static _Atomic(int) decision = UNDECIDED;

/* Whether a function belongs to C++'s standard library, or to the allocator behind. */
static bool calls_malloc(const void *function) {
    Dl_info info, allocator;
    if (!dladdr(function, &info) || !info.dli_fname) return false;
    if (strstr(info.dli_fname, "libstdc++.so") || strstr(info.dli_fname, "libc++")) return true;
    return dladdr((void *)outrider_heap_next.malloc, &allocator)
        && allocator.dli_fbase == info.dli_fbase;
}

/* Whether operators may be served by malloc and free: not where the program's own malloc comes before ours,
 * which the standard library's operators call. Found out once: a block has to go where it came from. */
static bool is_by_malloc(void) {
    int known = atomic_load_explicit(&decision, memory_order_acquire);
    if (UNLIKELY(known == UNDECIDED)) {
        outrider_heap_find_next();
        void *new = dlsym(RTLD_NEXT, "_Znwm"), *delete = dlsym(RTLD_NEXT, "_ZdlPv");
        bool is_standard = (!new || calls_malloc(new)) && (!delete || calls_malloc(delete));
        known = is_standard && outrider_heap_is_called() ? BY_MALLOC : BY_NEXT;
        atomic_store_explicit(&decision, known, memory_order_release);
    }
    return known == BY_MALLOC;
}

/* The operator that would be called without us; NULL if there is none. */
static void *next_operator(const char *name, void *_Atomic *known) {
    void *found = atomic_load_explicit(known, memory_order_relaxed);
    if (found) return found;
    found = dlsym(RTLD_NEXT, name);
    /* The library may have come later, for a plug-in alone. */
    static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1"};
    for (size_t i = 0; !found && i < sizeof libraries / sizeof *libraries; i++) {
        void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
        if (library) {
            found = dlsym(library, name);
            dlclose(library);
        }
    }
    atomic_store_explicit(known, found, memory_order_relaxed);
    return found;
}

/* A block by malloc, or NULL: then the next operator has the word, which calls the handler and throws. */
static void *allocated(size_t alignment, size_t size, outrider_stack_point caller) {
    /* Objects have addresses of their own, empty ones too. */
    if (size == 0) size = 1;
    void *block;
    if (alignment == 0) {
        block = outrider_heap_next.malloc(size);
    } else {
        if (alignment < sizeof(void *)) alignment = sizeof(void *);
        if (outrider_heap_next.posix_memalign(&block, alignment, size) != 0) block = NULL;
    }
    if (!block) return NULL;
    uint64_t mean = outrider_heap_count(size);
    if (UNLIKELY(mean)) outrider_heap_sample(block, size, size, NEW_BLOCK, mean, caller);
    return block;
}

#define DEFINE_NEW(name, alignment, parameters, arguments)                   \
    OPERATOR void *name parameters;                                          \
    void *name parameters {                                                  \
        if (is_by_malloc()) {                                                \
            void *block = allocated(alignment, size, CALLER_POINT());        \
            if (block) return block;                                         \
        }                                                                    \
        static void *_Atomic known;                                          \
        void *(*next) parameters = next_operator(#name, &known);             \
        return next ? next arguments : NULL;                                 \
    }

DEFINE_NEW(_Znwm, 0, (size_t size), (size))
DEFINE_NEW(_Znam, 0, (size_t size), (size))
DEFINE_NEW(_ZnwmRKSt9nothrow_t, 0, (size_t size, const void *tag), (size, tag))
DEFINE_NEW(_ZnamRKSt9nothrow_t, 0, (size_t size, const void *tag), (size, tag))
DEFINE_NEW(_ZnwmSt11align_val_t, alignment, (size_t size, size_t alignment), (size, alignment))
DEFINE_NEW(_ZnamSt11align_val_t, alignment, (size_t size, size_t alignment), (size, alignment))
DEFINE_NEW(
    _ZnwmSt11align_val_tRKSt9nothrow_t, alignment,
    (size_t size, size_t alignment, const void *tag), (size, alignment, tag))
DEFINE_NEW(
    _ZnamSt11align_val_tRKSt9nothrow_t, alignment,
    (size_t size, size_t alignment, const void *tag), (size, alignment, tag))

/* A block can be one that was sampled though its operator is another's: malloc may stand behind it. */
#define DEFINE_DELETE(name, parameters, arguments)                           \
    OPERATOR void name parameters;                                           \
    void name parameters {                                                   \
        if (is_by_malloc()) return outrider_heap_free(block);                \
        static void *_Atomic known;                                          \
        void (*next) parameters = next_operator(#name, &known);              \
        if (next) next arguments;                                            \
    }

DEFINE_DELETE(_ZdlPv, (void *block), (block))
DEFINE_DELETE(_ZdaPv, (void *block), (block))
DEFINE_DELETE(_ZdlPvm, (void *block, size_t size), (block, size))
DEFINE_DELETE(_ZdaPvm, (void *block, size_t size), (block, size))
DEFINE_DELETE(_ZdlPvSt11align_val_t, (void *block, size_t alignment), (block, alignment))
DEFINE_DELETE(_ZdaPvSt11align_val_t, (void *block, size_t alignment), (block, alignment))
DEFINE_DELETE(
    _ZdlPvmSt11align_val_t, (void *block, size_t size, size_t alignment), (block, size, alignment))
DEFINE_DELETE(
    _ZdaPvmSt11align_val_t, (void *block, size_t size, size_t alignment), (block, size, alignment))
DEFINE_DELETE(_ZdlPvRKSt9nothrow_t, (void *block, const void *tag), (block, tag))
DEFINE_DELETE(_ZdaPvRKSt9nothrow_t, (void *block, const void *tag), (block, tag))
DEFINE_DELETE(
    _ZdlPvSt11align_val_tRKSt9nothrow_t, (void *block, size_t alignment, const void *tag),
    (block, alignment, tag))
DEFINE_DELETE(
    _ZdaPvSt11align_val_tRKSt9nothrow_t, (void *block, size_t alignment, const void *tag),
    (block, alignment, tag))
#endif
