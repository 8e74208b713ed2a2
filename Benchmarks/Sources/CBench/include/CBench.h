/* SPDX-License-Identifier: Apache-2.0
 * What Swift's view of the C library leaves out: GNU's CPU affinity and heap statistics. */
#pragma once

/* Pins the calling thread to the n-th CPU that the process was allowed at start; 0 if there is
 * no such CPU. */
int bench_pin(int index);
/* Bytes in use in the C heap. */
long bench_heap_bytes(void);
/* Allocations so far, or -1 if the counter is not preloaded. */
long bench_allocations(void);
/* Has the calling thread take its CPU for the first one, where the kernel does not tell (under valgrind,
 * which has no rseq(2)), so that what is done for a CPU can be counted; 0 where that cannot be. Only for
 * a process that has no other thread. */
int bench_be_on_first_cpu(void);
