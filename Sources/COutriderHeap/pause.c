/* SPDX-License-Identifier: Apache-2.0
 * Pauses sampling of a thread while it does the profiler's own work.
 *
 * The thread's countdown is saved and replaced by one that never ends. Afterwards the saved one
 * continues: allocations made during the pause neither cause a sample nor bring the next one
 * closer.
 */
#include "hooked.h"

#if OUTRIDER_HEAP_HOOKED
#include "sampler.h"

#include "outrider_heap.h"

static __thread unsigned depth __attribute__((tls_model("initial-exec")));
static __thread uint64_t aside __attribute__((tls_model("initial-exec")));

void outrider_heap_pause(void) {
    if (depth++ > 0) return;
    aside = outrider_heap_countdown;
    outrider_heap_countdown = UINT64_MAX / 2;
}

void outrider_heap_resume(void) {
    if (depth > 0 && --depth == 0) outrider_heap_countdown = aside;
}

#else
#include "outrider_heap.h"

void outrider_heap_pause(void) {}
void outrider_heap_resume(void) {}
#endif
