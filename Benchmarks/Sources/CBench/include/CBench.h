/* SPDX-License-Identifier: Apache-2.0
 * GNU functions that Swift does not import from the C library: CPU affinity, heap statistics. */
#pragma once

/* Pins the calling thread to the n-th CPU that the process was allowed at start; 0 if there is
 * none. */
int bench_pin(int index);
/* Bytes in use in the C heap. */
long bench_heap_bytes(void);
/* Allocations so far, or -1 if the counter is not preloaded. */
long bench_allocations(void);
/* Makes the calling thread assume that it runs on the first CPU, where the kernel does not
 * report it (under valgrind, which has no rseq(2)), so that per-CPU code can be measured; 0 if
 * that is not supported. Only for a single-threaded process. */
int bench_be_on_first_cpu(void);
