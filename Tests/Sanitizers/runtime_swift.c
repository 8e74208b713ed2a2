/* SPDX-License-Identifier: Apache-2.0
 * Simulates the functions of the Swift runtime that are hooked, in a separate library, so that they
 * are called through the global offset table. The real ones are hooked in OutriderRuntimeTests; the
 * only sanitizer that covers C code compiled there by Swift's package manager is the thread
 * sanitizer.
 */
#include <stdint.h>
#include <stdlib.h>

#include "../../Sources/COutriderRuntime/swift_abi.h"

swift_enqueue_hook swift_task_enqueueGlobal_hook;

uint32_t layout = 1;
extern const uint32_t _swift_concurrency_debug_internal_layout_version
    __attribute__((alias("layout")));

static SWIFT_CALL void destroy(SWIFT_CONTEXT void *task) { free(task); }

/* Write-protected after relocation, as the real one is. */
static swift_destroy metadata[4] __attribute__((section(".data.rel.ro"))) = {destroy};
const void *const _swift_concurrency_debug_asyncTaskMetadata = &metadata[2];

SWIFT_CALL swift_task_and_context swift_task_create(
    size_t flags, void *options, const void *result_type, void *entry, void *closure) {
    (void)flags, (void)options, (void)result_type, (void)entry, (void)closure;
    void *task = malloc(64);
    return (swift_task_and_context){task, task};
}

void end_task(void *task) {
    /* Read on each call, since a hook may have changed it. */
    __atomic_load_n(&metadata[0], __ATOMIC_ACQUIRE)(task);
}

static SWIFT_CALL void run(void *job) { ++*(int *)job; }

void enqueue_job(int *runs) {
    swift_enqueue_hook hook = __atomic_load_n(&swift_task_enqueueGlobal_hook, __ATOMIC_ACQUIRE);
    if (hook) {
        hook(runs, run);
    } else {
        run(runs);
    }
}

void *swift_allocObject(const void *type, size_t size, size_t alignment_mask) {
    (void)type, (void)alignment_mask;
    return malloc(size);
}
