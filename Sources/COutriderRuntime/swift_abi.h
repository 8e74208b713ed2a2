/* SPDX-License-Identifier: Apache-2.0
 * The parts of the Swift runtime's binary interface that are used here.
 *
 * Source: include/swift/Runtime/Concurrency.h, HeapObject.h and ABI/Metadata.h of the Swift
 * project. All of it is exported and documented there, but not guaranteed, so every symbol is weak.
 */
#ifndef OUTRIDER_SWIFT_ABI_H
#define OUTRIDER_SWIFT_ABI_H

#include <stddef.h>
#include <stdint.h>

#define SWIFT_CALL __attribute__((swiftcall))
#define SWIFT_CONTEXT __attribute__((swift_context))

typedef SWIFT_CALL void (*swift_enqueue)(void *job);
typedef SWIFT_CALL void (*swift_enqueue_hook)(void *job, swift_enqueue original);
extern swift_enqueue_hook swift_task_enqueueGlobal_hook __attribute__((weak));

typedef struct {
    void *task;
    void *context;
} swift_task_and_context;
typedef SWIFT_CALL swift_task_and_context (*swift_create_task)(
    size_t flags, void *options, const void *result_type, void *entry, void *closure);

/* The layout version of the task data that debuggers read; 1 in Swift 5.7 to 6.3. */
extern const uint32_t _swift_concurrency_debug_internal_layout_version __attribute__((weak));
/* The metadata of all tasks; two words before it is the function that destroys a task. */
extern const void *const _swift_concurrency_debug_asyncTaskMetadata __attribute__((weak));
typedef SWIFT_CALL void (*swift_destroy)(SWIFT_CONTEXT void *object);

typedef void *(*swift_allocate_object)(const void *metadata, size_t size, size_t alignment_mask);

#endif
