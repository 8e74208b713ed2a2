/* SPDX-License-Identifier: Apache-2.0
 * A bounded walk of the calling thread's stack, fit for a malloc hook or a signal handler.
 *
 * Frame pointers first: some nanoseconds a frame. Where the walk starts in one of the few libraries
 * that are built without them (libc, libstdc++, libdispatch), a compact table made from their
 * .eh_frame leads out of it. No function here that a hook may call allocates, locks or calls into
 * the loader. A read outside of the thread's own stack never happens; what cannot be followed safely
 * ends the walk.
 */
#ifndef OUTRIDER_STACK_H
#define OUTRIDER_STACK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Frames that one walk yields at most. */
#define OUTRIDER_STACK_DEPTH 128

/* Where the calling thread's stack lies. All zero until it was looked up. */
typedef struct {
    uintptr_t low;  /* the lowest address that may ever belong to it */
    uintptr_t high; /* just past its last byte */
} outrider_stack_bounds;

/* A point in a walk: where a frame goes on, its stack pointer there, and its frame-pointer register. */
typedef struct {
    uintptr_t pc;
    uintptr_t sp;
    uintptr_t fp;
} outrider_stack_point;

/* What is to be known of a walk besides its frames. */
typedef struct {
    int is_truncated;  /* it ended early: at the depth, off the stack, or at a bad frame */
    uint32_t contexts; /* frames of async functions, which take a system call each */
} outrider_stack_end;

/* Finds the bounds of the calling thread's stack that contains `address`.
 *
 * Looks at some 200 words of memory, once a thread: no system call, no lock, no allocation, whatever the process
 * has mapped. Both are zero where `address` is on no stack that the thread was started with: a coroutine's, a
 * signal's, or a thread that libc did not make.
 */
outrider_stack_bounds outrider_stack_find_bounds(uintptr_t address);

/* Writes return addresses, innermost first, to `pcs`, `limit` at most, and returns their number.
 *
 * `from` is the point where the walk starts: `from.pc` is the first address written. Bit 60 of a frame
 * pointer (Swift's mark of an async frame) is masked; where it is set, the walk goes on through the
 * async contexts instead of the thread's own frames. Thread-safe, async-signal-safe.
 */
size_t outrider_stack_walk(
    outrider_stack_point from, outrider_stack_bounds bounds, uintptr_t *pcs, size_t limit,
    outrider_stack_end *end);

/* Reads memory that may not be there, a page at most; 1 if all of it was. Keeps errno.
 *
 * One system call (futex) for each page, some 0.2 us, which asks whether the memory is there; then it is read. So
 * what is read must not be unmapped at this very moment: the caller holds it, or it is code or metadata of a
 * library. Where futex(2) is forbidden without ending the process, nothing is there. */
int outrider_stack_read_memory(uintptr_t address, void *into, size_t size);

/* Builds or refreshes the tables of the libraries without frame pointers.
 *
 * Takes the loader's lock and maps memory, but never calls malloc: not for a hook or a signal
 * handler. Costs some milliseconds the first time, next to nothing while no library was loaded or
 * unloaded. Call it now and then: a library that was unloaded keeps its range until the next call.
 * Thread-safe: of two callers the second returns at once. Returns the bytes of all tables, which are
 * bounded (16 MiB, 64 tables) and never given back, for a signal handler may be reading them.
 *
 * Linux on x86-64 only; elsewhere no library gets a table.
 */
size_t outrider_stack_prepare_tables(void);

/* Steps out of a frame whose pc lies in a library that has a table.
 *
 * `point->pc` is a return address, as in a frame that called another; for a frame that a signal
 * interrupted, pass the pc plus one. Returns 1 and changes `point` to the caller's. Otherwise leaves
 * it alone and returns -1 where the library says that this frame is the outermost of its thread, or 0
 * where there is no way on: no table, a frame that a table cannot describe, or a place that is not on
 * the stack. Reads the stack from `point->sp` up, within `bounds` only, and each step's stack pointer
 * is above the one before. Async-signal-safe, lock-free.
 */
int outrider_stack_table_step(outrider_stack_point *point, outrider_stack_bounds bounds);

/* Whether the pc lies in a library that has a table. */
int outrider_stack_has_table(uintptr_t pc);

#ifdef __cplusplus
}
#endif
#endif
