/* SPDX-License-Identifier: Apache-2.0
 * fork(2), CPU sets and stacks, which Swift does not offer, functions with bad names, and a hook of the Swift
 * runtime that is somebody else's. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Forks a child that waits until `descriptor` is at its end, holding copies of everything that is
 * open here; returns its pid, or -1. It ends by itself after two minutes. */
int test_fork_waiting_child(int descriptor, int other_end);

/* Waits for such a child. */
void test_join_child(int pid);

/* Runs `body` in a forked child that then ends at once, and waits for it, two minutes at most.
 * Returns the child's exit code (0 unless it crashed or hung), or -1. */
int test_in_forked_child(void (*body)(void *), void *argument);

/* Keeps the calling thread on one of the CPUs that the process may use, counted around; 0 if it could. */
int test_stay_on_cpu(int number);

/* Counts every job on the global executor, by a hook that knows of no other one; 0 where there is none.
 * To be called before a hook that calls the one before it is put there. */
int test_count_jobs(void);

/* Jobs counted so far. */
long long test_jobs(void);

/* Runs `body` on a thread with so much stack, and waits for it; 0 if there is no such thread. */
int test_on_small_stack(size_t size, void (*body)(void *), void *argument);

/* Addresses of functions whose mangled names are 8,100 bytes deep, double themselves, or are 26 KiB long (names.c). */
uintptr_t test_deep_name(void);
uintptr_t test_doubling_cxx_name(void);
uintptr_t test_doubling_swift_name(void);
uintptr_t test_long_name(void);
