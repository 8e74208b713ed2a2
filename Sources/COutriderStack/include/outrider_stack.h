/* SPDX-License-Identifier: Apache-2.0
 * A bounded stack walk of the calling thread, usable in a malloc hook or a signal handler.
 *
 * It follows frame pointers, at a few nanoseconds per frame. If the walk starts in one of the few
 * libraries that are built without them (libc, libstdc++, libdispatch), a compact table built from
 * their .eh_frame leads out of it. Functions that a hook may call never allocate, lock, or call the
 * loader. The walk never reads outside the thread's own stack; it ends at a frame that it cannot
 * follow safely.
 */
#ifndef OUTRIDER_STACK_H
#define OUTRIDER_STACK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Maximum number of frames of one walk. */
#define OUTRIDER_STACK_DEPTH 128

/* The address range of the calling thread's stack. All zero until it is looked up. */
typedef struct {
    uintptr_t low;  /* the lowest address that can ever belong to it */
    uintptr_t high; /* just past its last byte */
} outrider_stack_bounds;

/* A point in a walk: a frame's program counter, stack pointer and frame pointer. */
typedef struct {
    uintptr_t pc;
    uintptr_t sp;
    uintptr_t fp;
} outrider_stack_point;

/* How a walk ended. */
typedef struct {
    int is_truncated;  /* it ended early: at the limit, off the stack, or at a bad frame */
    uint32_t contexts; /* frames of async functions, which cost one system call each */
} outrider_stack_end;

/* Finds the bounds of the calling thread's stack that contains `address`.
 *
 * Reads up to 256 words of memory, once per thread, however much the process has mapped: no system
 * call, lock or allocation. Both bounds are zero if `address` is not on a stack that the thread was
 * started with: a coroutine's stack, a signal stack, or a thread that libc did not create.
 */
outrider_stack_bounds outrider_stack_find_bounds(uintptr_t address);

/* Writes at most `limit` return addresses to `pcs`, innermost first, and returns their number.
 *
 * The walk starts at `from`, and `from.pc` is the first address written. Bit 60 of a frame pointer
 * (Swift's mark of an async frame) is masked; where it is set, the walk continues through the async
 * contexts instead of the thread's own frames. Thread-safe, async-signal-safe.
 */
size_t outrider_stack_walk(
    outrider_stack_point from, outrider_stack_bounds bounds, uintptr_t *pcs, size_t limit,
    outrider_stack_end *end);

/* Reads memory that may be unmapped, at most one page; returns 1 if all of it was read. Keeps
 * errno.
 *
 * One system call (futex) per page, some 0.2 us, checks whether the memory is mapped before it is
 * read. So nothing may unmap it in between: the caller holds it, or it is code or metadata of a
 * library. Returns 0 if futex(2) is forbidden without ending the process. */
int outrider_stack_read_memory(uintptr_t address, void *into, size_t size);

/* Builds or refreshes the tables of the libraries without frame pointers.
 *
 * Takes the loader's lock and maps memory, but never calls malloc: must not be called from a hook
 * or a signal handler. Costs some milliseconds the first time, and next to nothing while no library
 * is loaded or unloaded. Call it from time to time: an unloaded library keeps its range until the
 * next call. Thread-safe: a second concurrent caller returns at once. Returns the size of all
 * tables in bytes, which is bounded (16 MiB, 64 tables). Tables are never freed, because a signal
 * handler may be reading them.
 *
 * Linux on x86-64 only; elsewhere no library gets a table.
 */
size_t outrider_stack_prepare_tables(void);

/* Steps out of a frame whose pc lies in a library that has a table.
 *
 * `point->pc` is a return address, as in a frame that called another; for a frame that was
 * interrupted by a signal, pass the pc plus one. Returns 1 and sets `point` to the caller's frame.
 * Otherwise leaves `point` unchanged and returns -1 if the library marks this frame as the
 * outermost of its thread, or 0 if the walk cannot continue: no table, a frame that a table cannot
 * describe, or an address off the stack. Reads the stack from `point->sp` up, within `bounds` only;
 * each step's stack pointer is above the previous one. Async-signal-safe, lock-free.
 */
int outrider_stack_table_step(outrider_stack_point *point, outrider_stack_bounds bounds);

/* Whether the pc lies in a library that has a table. */
int outrider_stack_has_table(uintptr_t pc);

#ifdef __cplusplus
}
#endif
#endif
