/* SPDX-License-Identifier: Apache-2.0
 * C++'s operators new and delete.
 *
 * A program may replace any of these functions, and C++ defines which of the others then call the
 * replacements (new.delete.single, new.delete.array: `new[]` calls `new`, a sized delete the
 * unsized one). So all of them are judged together, once, by what the process calls and what comes
 * after us:
 *
 *   all are ours, and the            We do the same with malloc and free. The library is compiled
 *   standard library's come next     without frame pointers, so a stack taken within it does not
 *                                    show the caller of `new`.
 *   anything else                    Each call is passed on to the next such function. Blocks of
 *                                    the allocator's own operators are sampled here; operators
 *                                    that call malloc are sampled there.
 *   nothing comes next (linked       The forms call each other as C++ defines.
 *   statically)
 *
 * Weak, so that a program's own operators take precedence without a conflict when it is linked.
 */
#define _GNU_SOURCE
#include "hooks.h"

#if OUTRIDER_HEAP_HOOKED
#include "blocks.h"
#include "next.h"
#include "sampler.h"

#include <dlfcn.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* --- the forms -------------------------------------------------------------------------------- */

/* The operators by their mangled names (Itanium C++ ABI 5.1.5): new and new[], each with a size,
 * an alignment, nothrow, and the last two combined; delete and delete[], with more forms.
 *
 * NEW(name, alignment, whether it throws, parameters, arguments, the form that it calls by
 * default) */
#define THROWING_FORMS(NEW)                                                                                   \
    NEW(_Znwm, 0, true, (size_t size), (size), NULL)                                                          \
    NEW(_Znam, 0, true, (size_t size), (size), _Znwm(size))                                                   \
    NEW(_ZnwmSt11align_val_t, alignment, true, (size_t size, size_t alignment), (size, alignment), NULL)      \
    NEW(_ZnamSt11align_val_t, alignment, true, (size_t size, size_t alignment), (size, alignment),            \
        _ZnwmSt11align_val_t(size, alignment))

/* By default, the nothrow forms call the throwing ones and catch the exception, which C cannot
 * do. So they are replaced only if the standard library certainly comes next: in the preloaded
 * object. */
#if defined(OUTRIDER_HEAP_PRELOADED)
#define NEW_FORMS(NEW)                                                                                        \
    THROWING_FORMS(NEW)                                                                                       \
    NEW(_ZnwmRKSt9nothrow_t, 0, false, (size_t size, const void *tag), (size, tag), NULL)                     \
    NEW(_ZnamRKSt9nothrow_t, 0, false, (size_t size, const void *tag), (size, tag), NULL)                     \
    NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, alignment, false,                                                 \
        (size_t size, size_t alignment, const void *tag), (size, alignment, tag), NULL)                       \
    NEW(_ZnamSt11align_val_tRKSt9nothrow_t, alignment, false,                                                 \
        (size_t size, size_t alignment, const void *tag), (size, alignment, tag), NULL)
#else
#define NEW_FORMS(NEW) THROWING_FORMS(NEW)
#endif

/* DELETE(name, parameters, arguments, the form that it calls by default) */
#define DELETE_FORMS(DELETE)                                                                                  \
    DELETE(_ZdlPv, (void *block), (block), outrider_heap_free(block))                                         \
    DELETE(_ZdaPv, (void *block), (block), _ZdlPv(block))                                                     \
    DELETE(_ZdlPvm, (void *block, size_t size), (block, size), _ZdlPv(block))                                 \
    DELETE(_ZdaPvm, (void *block, size_t size), (block, size), _ZdaPv(block))                                 \
    DELETE(_ZdlPvRKSt9nothrow_t, (void *block, const void *tag), (block, tag), _ZdlPv(block))                 \
    DELETE(_ZdaPvRKSt9nothrow_t, (void *block, const void *tag), (block, tag), _ZdaPv(block))                 \
    DELETE(_ZdlPvSt11align_val_t, (void *block, size_t alignment), (block, alignment),                        \
        outrider_heap_free(block))                                                                            \
    DELETE(_ZdaPvSt11align_val_t, (void *block, size_t alignment), (block, alignment),                        \
        _ZdlPvSt11align_val_t(block, alignment))                                                              \
    DELETE(_ZdlPvmSt11align_val_t, (void *block, size_t size, size_t alignment),                              \
        (block, size, alignment), _ZdlPvSt11align_val_t(block, alignment))                                    \
    DELETE(_ZdaPvmSt11align_val_t, (void *block, size_t size, size_t alignment),                              \
        (block, size, alignment), _ZdaPvSt11align_val_t(block, alignment))                                    \
    DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void *block, size_t alignment, const void *tag),             \
        (block, alignment, tag), _ZdlPvSt11align_val_t(block, alignment))                                     \
    DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void *block, size_t alignment, const void *tag),             \
        (block, alignment, tag), _ZdaPvSt11align_val_t(block, alignment))

/* Each form has a name that cannot be interposed, and the operator's name, which can. */
#define OWN(name) outrider_heap##name
#define DECLARE_NEW(name, alignment, throws, parameters, arguments, default)                                  \
    void *OWN(name) parameters HIDDEN;                                                                        \
    EXPORTED __attribute__((weak, alias("outrider_heap" #name))) void *name parameters;
#define DECLARE_DELETE(name, parameters, arguments, default)                                                  \
    void OWN(name) parameters HIDDEN;                                                                         \
    EXPORTED __attribute__((weak, alias("outrider_heap" #name))) void name parameters;
NEW_FORMS(DECLARE_NEW)
DELETE_FORMS(DECLARE_DELETE)

#define NUMBER_NEW(name, alignment, throws, parameters, arguments, default) FORM##name,
#define NUMBER_DELETE(name, parameters, arguments, default) FORM##name,
enum { NEW_FORMS(NUMBER_NEW) DELETE_FORMS(NUMBER_DELETE) FORMS };

/* The function called by the process differs from ours if the program has its own. */
static const struct {
    const char *name;
    void *own;
    void *called;
} forms[FORMS] = {
#define LIST_NEW(name, alignment, throws, parameters, arguments, default)                                     \
    {#name, (void *)OWN(name), (void *)name},
#define LIST_DELETE(name, parameters, arguments, default) {#name, (void *)OWN(name), (void *)name},
    NEW_FORMS(LIST_NEW) DELETE_FORMS(LIST_DELETE)
};

/* --- the decision ----------------------------------------------------------------------------- */

enum { UNDECIDED, BY_MALLOC, BY_NEXT };
static _Atomic(int) decision = UNDECIDED;
/* An allocator may call `new` during a call, possibly while it holds its locks. */
static __thread bool is_deciding __attribute__((tls_model("initial-exec")));
/* The next functions, and whether they belong to the allocator. */
static void *_Atomic next_forms[FORMS];
static _Atomic(bool) is_allocators[FORMS];

/* The file that an address belongs to. */
struct object {
    uintptr_t address;
    const char *name;
    uintptr_t base;
};

static int has_address(struct dl_phdr_info *info, size_t size, void *wanted) {
    (void)size;
    struct object *object = wanted;
    for (int each = 0; each < info->dlpi_phnum; each++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[each];
        if (part->p_type != PT_LOAD) continue;
        uintptr_t start = info->dlpi_addr + part->p_vaddr;
        if (object->address < start || object->address - start >= part->p_memsz) continue;
        object->name = info->dlpi_name;
        object->base = info->dlpi_addr;
        return 1;
    }
    return 0;
}

/* dladdr would also read all symbols of the file, to find the function's name. */
static bool find_object(const void *function, struct object *object) {
    object->address = (uintptr_t)function;
    return dl_iterate_phdr(has_address, object) == 1;
}

static bool is_standard_library(const void *function) {
    struct object object;
    if (!find_object(function, &object) || !object.name) return false;
    return strstr(object.name, "libstdc++.so") || strstr(object.name, "libc++.so");
}

static bool is_in_allocator(const void *function) {
    struct object object, allocator;
    return find_object(function, &object)
        && find_object((const void *)outrider_heap_next.malloc, &allocator)
        && allocator.base == object.base;
}

/* The form that would be called without us; NULL if there is none. */
static void *next_form(int form) {
    /* ORDERING: relaxed; the function existed before this process learned its address. */
    void *found = atomic_load_explicit(&next_forms[form], memory_order_relaxed);
    if (found) return found;
    found = dlsym(RTLD_NEXT, forms[form].name);
    /* The library may have been loaded later, only for a plug-in. */
    static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1"};
    for (size_t i = 0; !found && i < sizeof libraries / sizeof *libraries; i++) {
        void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
        if (library) {
            found = dlsym(library, forms[form].name);
            dlclose(library);
        }
    }
    if (!found) return NULL;
    atomic_store_explicit(&is_allocators[form], is_in_allocator(found), memory_order_relaxed);
    atomic_store_explicit(&next_forms[form], found, memory_order_relaxed);
    return found;
}

/* Whether we may replace the standard library: all forms are ours, all next ones are the library's,
 * and the malloc that it calls is ours. */
static bool may_do_by_malloc(void) {
    for (int form = 0; form < FORMS; form++) {
        if (forms[form].called != forms[form].own) return false;
        void *next = next_form(form);
        if (next && !is_standard_library(next)) return false;
    }
    return outrider_heap_is_called();
}

/* Decided once: a block has to be freed by the functions that allocated it. */
static bool is_by_malloc(void) {
    int known = atomic_load_explicit(&decision, memory_order_acquire);
    if (UNLIKELY(known == UNDECIDED)) {
        /* A block that the standard library allocates during the decision comes from malloc too. */
        if (is_deciding) return false;
        is_deciding = true;
        outrider_heap_find_next();
        known = may_do_by_malloc() ? BY_MALLOC : BY_NEXT;
        atomic_store_explicit(&decision, known, memory_order_release);
        is_deciding = false;
    }
    return known == BY_MALLOC;
}

/* --- new -------------------------------------------------------------------------------------- */

/* The parts of a statically linked C++ runtime, as far as the program has them:
 * std::get_new_handler(), std::__throw_bad_alloc(), and what it takes to throw a std::bad_alloc
 * (Itanium C++ ABI: Exception Handling, 2.4): its allocation, the throw, the type with its table,
 * and the destructor. */
extern void (*_ZSt15get_new_handlerv(void))(void) __attribute__((weak));
extern void _ZSt17__throw_bad_allocv(void) __attribute__((weak));
extern void *__cxa_allocate_exception(size_t size) __attribute__((weak));
extern void __cxa_throw(void *exception, void *type, void (*destroy)(void *)) __attribute__((weak));
extern char _ZTISt9bad_alloc[] __attribute__((weak));
extern void *_ZTVSt9bad_alloc[] __attribute__((weak));
extern void _ZNSt9bad_allocD1Ev(void *exception) __attribute__((weak));

/* A program that catches the exception has its type; one that does not is terminated in any
 * case. */
static void throw_bad_alloc(void) {
    if (_ZSt17__throw_bad_allocv) _ZSt17__throw_bad_allocv();
    if (__cxa_allocate_exception && __cxa_throw && _ZTISt9bad_alloc && _ZTVSt9bad_alloc) {
        void **exception = __cxa_allocate_exception(sizeof(void *));
        *exception = &_ZTVSt9bad_alloc[2];
        __cxa_throw(exception, _ZTISt9bad_alloc, _ZNSt9bad_allocD1Ev);
    }
    abort();
}

static void *allocated(size_t alignment, size_t size, outrider_stack_point caller) {
    /* Every object has its own address, even an empty one. */
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

/* The same; if memory is short, calls the new-handler, and throws if there is none
 * (new.delete.single). */
static void *allocated_or_not(size_t alignment, size_t size, bool throws, outrider_stack_point caller) {
    for (;;) {
        void *block = allocated(alignment, size, caller);
        if (block) return block;
        void (*handler)(void) = _ZSt15get_new_handlerv ? _ZSt15get_new_handlerv() : NULL;
        if (!handler) break;
        handler();
    }
    if (throws) throw_bad_alloc();
    return NULL;
}

/* An allocator's own operator is counted and sampled by malloc if it calls it; otherwise it is
 * sampled here. */
static void *sampled_here(int form, void *block, size_t size, uint64_t left, outrider_stack_point caller) {
    if (!block || outrider_heap_countdown != left) return block;
    if (!atomic_load_explicit(&is_allocators[form], memory_order_relaxed)) return block;
    uint64_t mean = outrider_heap_count(size);
    if (UNLIKELY(mean)) outrider_heap_sample(block, size, size, NEW_BLOCK, mean, caller);
    return block;
}

#define DEFINE_NEW(name, alignment, throws, parameters, arguments, default)                                   \
    void *OWN(name) parameters {                                                                              \
        bool is_ours = is_by_malloc();                                                                        \
        if (is_ours) {                                                                                        \
            void *block = allocated(alignment, size, CALLER_POINT());                                         \
            if (block) return block;                                                                          \
        }                                                                                                     \
        void *(*next) parameters = next_form(FORM##name);                                                     \
        if (next) {                                                                                           \
            uint64_t left = outrider_heap_countdown;                                                          \
            return sampled_here(FORM##name, next arguments, size, left, CALLER_POINT());                      \
        }                                                                                                     \
        void *block = is_ours ? NULL : default;                                                               \
        return block ? block : allocated_or_not(alignment, size, throws, CALLER_POINT());                     \
    }
NEW_FORMS(DEFINE_NEW)

/* --- delete ----------------------------------------------------------------------------------- */

#define DEFINE_DELETE(name, parameters, arguments, default)                                                   \
    void OWN(name) parameters {                                                                               \
        if (is_by_malloc()) return outrider_heap_free(block);                                                 \
        void (*next) parameters = next_form(FORM##name);                                                      \
        if (!next) {                                                                                          \
            default;                                                                                          \
            return;                                                                                           \
        }                                                                                                     \
        if (UNLIKELY(may_be_sampled(block))) outrider_heap_forget(block);                                     \
        next arguments;                                                                                       \
    }
DELETE_FORMS(DEFINE_DELETE)
#endif
