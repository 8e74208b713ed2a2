/* SPDX-License-Identifier: Apache-2.0
 * Threads that are not sampled for a while, since they do the profiler's own work.
 *
 * The thread's countdown is put aside and it counts down from more bytes than there are. Afterwards it goes on where
 * it was: what the thread allocated meanwhile makes no sample of its own, and none of what comes next.
 */
#include "hooked.h"

#if OUTRIDER_HEAP_HOOKED
#include "sampler.h"

#include "outrider_heap.h"

static __thread unsigned depth __attribute__((tls_model("initial-exec")));
static __thread uint64_t aside __attribute__((tls_model("initial-exec")));

void outrider_heap_pause(void) {
    if (depth++ > 0) return;
    aside = outrider_heap_left;
    outrider_heap_left = UINT64_MAX / 2;
}

void outrider_heap_resume(void) {
    if (depth > 0 && --depth == 0) outrider_heap_left = aside;
}

#else
#include "outrider_heap.h"

void outrider_heap_pause(void) {}
void outrider_heap_resume(void) {}
#endif
