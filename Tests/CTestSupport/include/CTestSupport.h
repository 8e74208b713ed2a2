/* SPDX-License-Identifier: Apache-2.0
 * Test helpers in C: fork(2), CPU sets and stacks, which Swift does not offer, functions with names
 * that are hard to demangle, and a hook of the Swift runtime as other code installs it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Forks a child that waits until `descriptor` is at its end and holds copies of everything that is
 * open; returns its pid, or -1. The child ends after two minutes at the latest. */
int test_fork_waiting_child(int descriptor, int other_end);

/* Waits for such a child. */
void test_join_child(int pid);

/* Runs `body` in a forked child that then exits, and waits for it, at most two minutes.
 * Returns the child's exit code (0 unless it crashed or hung), or -1. */
int test_in_forked_child(void (*body)(void *), void *argument);

/* Pins the calling thread to one of the process's CPUs; `number` wraps around. 0 on success. */
int test_stay_on_cpu(int number);

/* Counts every job on the global executor with a hook that calls no other; returns 0 without the
 * concurrency runtime. Call it before installing a hook that calls the previous one. */
int test_count_jobs(void);

/* The number of jobs so far. */
long long test_jobs(void);

/* Runs `body` on a thread with a stack of this size and waits for it; returns 0 on failure. */
int test_on_small_stack(size_t size, void (*body)(void *), void *argument);

/* Addresses of functions whose mangled names are 8,100 bytes deep, expand exponentially, or are
 * 26 KiB long (names.c). */
uintptr_t test_deep_name(void);
uintptr_t test_doubling_cxx_name(void);
uintptr_t test_doubling_swift_name(void);
uintptr_t test_long_name(void);
