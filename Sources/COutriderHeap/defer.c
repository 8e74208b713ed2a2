/* SPDX-License-Identifier: Apache-2.0
 * Lets a signal handler wait until the interrupted thread has left the sampler's tables.
 */
#include "hooked.h"

#if OUTRIDER_HEAP_HOOKED
#include "sampler.h"

#include <stddef.h>

#define THREAD_LOCAL static __thread __attribute__((tls_model("initial-exec")))

/* The number of functions that change the tables and that this thread is in, and the work to do
 * when it leaves them: shared with signal handlers that interrupt this thread. */
THREAD_LOCAL volatile unsigned tables_in_use;
THREAD_LOCAL void (*volatile when_left)(void);

void outrider_heap_enter_tables(void) { tables_in_use++; }

void outrider_heap_leave_tables(void) {
    if (--tables_in_use > 0) return;
    void (*work)(void) = when_left;
    if (!work) return;
    when_left = NULL;
    work();
}

int outrider_heap_defer(void (*work)(void)) {
    if (tables_in_use == 0) return 0;
    when_left = work;
    return 1;
}

#else
#include "outrider_heap.h"

int outrider_heap_defer(void (*work)(void)) {
    (void)work;
    return 0;
}
#endif
