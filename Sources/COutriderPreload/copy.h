/* SPDX-License-Identifier: Apache-2.0
 * A copy of the process, in which a profile is written while the program continues.
 *
 * A program without threads stays without them: a second thread would make libc take its locks, and
 * unshare(2) fail. The copy is a child with the same memory, made by clone(2) and copied on write.
 * It sends no signal at its end, and wait(2) does not return it to the program. */
#ifndef OUTRIDER_COPY_H
#define OUTRIDER_COPY_H

/* Starts a copy that calls `work` on a stack of `stack_size` bytes and ends. Only for a process
 * with one thread. Does nothing while the previous copy is at work; if that one has all content of
 * its file, waits for it for up to 0.1 s. In the copy, malloc has separate memory, no handler of
 * the program runs, and of its descriptors only standard error is open. After 30 s it is ended.
 *
 * Returns 0, or the error of clone(2) or mmap(2). Async-signal-safe; takes as long as the kernel
 * needs for the page tables. */
int outrider_copy_start(void (*work)(void), unsigned long stack_size);

/* In a copy: all content of its file is there. Elsewhere it does nothing. */
void outrider_copy_is_finishing(void);

/* Waits until the copy has ended; 30 s at most. */
void outrider_copy_await(void);

/* Returns the signal that ended a copy, once; 0 if there is none. Async-signal-safe. */
int outrider_copy_problem(void);

/* In a forked child: the copy is its parent's. */
void outrider_copy_forget(void);

#endif
