/* SPDX-License-Identifier: Apache-2.0
 * A preloaded object that walks the stack of each sampled allocation of a Swift program twice: with
 * our walker, and with libgcc's unwinder, which reads all of .eh_frame. At exit it writes the
 * result to standard error:
 *
 *   stacks WALKED EQUAL LONGER
 *
 * Two stacks are equal if they have the same frames up to the last one outside libc: libc's frames
 * before main or a thread's function do not matter. LONGER counts stacks where libgcc's unwinder
 * stopped before ours and agrees up to there.
 */
#define _GNU_SOURCE
#include "../../Sources/COutriderStack/include/outrider_stack.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unwind.h>

enum { FRAMES = 1000 };

static void *(*next_malloc)(size_t);
static __thread int is_busy __attribute__((tls_model("initial-exec")));
static __thread outrider_stack_bounds bounds __attribute__((tls_model("initial-exec")));
static _Atomic(unsigned long) calls, walked, equal, longer;
static unsigned long every = 1;

typedef struct {
    uintptr_t pcs[FRAMES];
    size_t count;
} stack;

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *context, void *argument) {
    stack *into = argument;
    if (into->count == FRAMES) return _URC_END_OF_STACK;
    into->pcs[into->count++] = _Unwind_GetIP(context);
    return _URC_NO_REASON;
}

/* Drops the outermost frames that belong to libc or to no module. */
static size_t trimmed(const uintptr_t *pcs, size_t count) {
    Dl_info info;
    while (count > 0) {
        bool is_known = dladdr((void *)(pcs[count - 1] - 1), &info) && info.dli_fname;
        if (is_known && !strstr(info.dli_fname, "/libc.so") && !strstr(info.dli_fname, "/ld-linux"))
            break;
        count--;
    }
    return count;
}

/* Whether a frame belongs to the program or to a library of Swift: not so where the loader
 * initializes the C libraries. */
static bool is_swift_side(const uintptr_t *pcs, size_t count) {
    Dl_info info, program = {0};
    dladdr((void *)getauxval(AT_ENTRY), &program);
    for (size_t i = 0; i < count; i++) {
        if (!dladdr((void *)(pcs[i] - 1), &info) || !info.dli_fname) continue;
        if (info.dli_fbase == program.dli_fbase || strstr(info.dli_fname, "libswift")
            || strstr(info.dli_fname, "libdispatch") || strstr(info.dli_fname, "Foundation"))
            return true;
    }
    return false;
}

static void describe(const char *who, const uintptr_t *pcs, size_t count) {
    fprintf(stderr, "%s", who);
    for (size_t i = 0; i < count && i < 30; i++) {
        Dl_info info = {0};
        dladdr((void *)(pcs[i] - 1), &info);
        const char *file = info.dli_fname ? strrchr(info.dli_fname, '/') : NULL;
        fprintf(stderr, " %s:%s", file ? file + 1 : "?", info.dli_sname ? info.dli_sname : "?");
    }
    fprintf(stderr, "\n");
}

static void compare(outrider_stack_point caller) {
    if (!bounds.high) bounds = outrider_stack_find_bounds(caller.sp);
    uintptr_t pcs[OUTRIDER_STACK_DEPTH];
    outrider_stack_end end;
    size_t ours = outrider_stack_walk(caller, bounds, pcs, OUTRIDER_STACK_DEPTH, &end);
    if (ours == OUTRIDER_STACK_DEPTH) return; /* truncated at its maximum depth, by design */
    stack whole = {.count = 0};
    _Unwind_Backtrace(add_frame, &whole);
    size_t first = 0;
    while (first < whole.count && whole.pcs[first] != caller.pc) first++;
    size_t theirs = trimmed(whole.pcs + first, whole.count - first);
    ours = trimmed(pcs, ours);
    if (!is_swift_side(whole.pcs + first, theirs)) return;
    bool agrees = ours >= theirs && memcmp(pcs, whole.pcs + first, theirs * sizeof *pcs) == 0;
    walked++;
    equal += agrees && ours == theirs;
    longer += agrees && ours > theirs;
    if (!agrees && getenv("COMPARE_STACKS_VERBOSE")) {
        describe("ours  ", pcs, ours);
        describe("theirs", whole.pcs + first, theirs);
    }
}

__attribute__((visibility("default"), noinline)) void *malloc(size_t size) {
    if (!next_malloc) next_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    void *block = next_malloc(size);
    if (!is_busy && calls++ % every == 0) {
        uintptr_t *frame = __builtin_frame_address(0);
        is_busy = 1;
        compare((outrider_stack_point){frame[1], (uintptr_t)frame + 16, frame[0]});
        is_busy = 0;
    }
    return block;
}

__attribute__((constructor)) static void begin(void) {
    is_busy = 1;
    outrider_stack_prepare_tables();
    if (getenv("COMPARE_STACKS_EVERY")) every = strtoul(getenv("COMPARE_STACKS_EVERY"), NULL, 10);
    if (every == 0) every = 1;
    is_busy = 0;
}

__attribute__((destructor)) static void end(void) {
    is_busy = 1;
    fprintf(stderr, "stacks %lu %lu %lu\n", walked, equal, longer);
}
