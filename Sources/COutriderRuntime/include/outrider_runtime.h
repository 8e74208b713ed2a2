/* SPDX-License-Identifier: Apache-2.0
 * Hooks of the Swift runtime that are only available from C, and stack captures of hung threads.
 *
 * Every runtime symbol is referenced weakly: if it is missing or has an unexpected layout, the
 * function that needs it returns an error and changes nothing. A hook stays installed once it is
 * set and passes every call on; starting and stopping only change a flag, because the runtime reads
 * its hooks without ordering.
 */
#ifndef OUTRIDER_RUNTIME_H
#define OUTRIDER_RUNTIME_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Result of installing a hook. */
typedef enum {
    OUTRIDER_HOOK_ON = 0,
    OUTRIDER_HOOK_ABSENT = 1,         /* this runtime does not have the hook */
    OUTRIDER_HOOK_UNKNOWN_LAYOUT = 2, /* its layout is unknown */
    OUTRIDER_HOOK_UNREACHABLE = 3,    /* linked into the program, so calls cannot be seen */
} outrider_hook_result;

/* Counts the jobs that are enqueued on the global executor.
 *
 * Costs one relaxed addition to one of 64 counters per job. A hook that was already installed is
 * called by ours. Thread-safe. */
outrider_hook_result outrider_jobs_start(void);
void outrider_jobs_stop(void);
uint64_t outrider_jobs_enqueued(void);

/* Counts live tasks; experimental.
 *
 * Counts tasks created after start() by modules that were loaded at that time; call start() again
 * to include modules loaded later. Such a task is counted until it is destroyed. Tasks that the
 * runtime creates for itself are not counted. Holds up to some 114,000 tasks; further ones are
 * counted as refused. Costs one of 64 locks and a few cache lines at the creation and at the end of
 * each task. Thread-safe. */
typedef struct {
    uint64_t created;
    uint64_t live;
    uint64_t refused; /* created, but not in `live`: the table was full */
} outrider_task_counts;
outrider_hook_result outrider_tasks_start(void);
void outrider_tasks_stop(void);
outrider_task_counts outrider_tasks_read(void);

/* Samples swift_allocObject by type, every `interval` bytes on average.
 *
 * Counts calls from modules that were loaded at start(), or at the next start(); not those that
 * libswiftCore makes for its own unspecialised code. Each sample stands for `interval` bytes;
 * objects of at least that size are counted exactly. Up to OUTRIDER_OBJECT_TYPES types are kept
 * apart, in the order of their first sample; all further ones are counted in the last entry, which
 * has no metadata. Thread-safe. */
#define OUTRIDER_OBJECT_TYPES 500
#define OUTRIDER_OBJECT_SHIFT 10 /* objects are counted in units of 1/1024 */
typedef struct {
    uintptr_t metadata;
    uint64_t bytes;
    uint64_t objects;
} outrider_object_type;
outrider_hook_result outrider_objects_start(uint64_t interval);
void outrider_objects_stop(void);
/* Writes the counts of each type, at most OUTRIDER_OBJECT_TYPES + 1; returns how many were
 * written. */
size_t outrider_objects_read(outrider_object_type *into);

/* Memory held by glibc's allocator, in bytes. */
typedef struct {
    size_t arena;   /* from the kernel, for ordinary blocks */
    size_t mmapped; /* from the kernel, for single large blocks */
    size_t in_use;  /* of `arena`, in allocated blocks */
    size_t unused;  /* of `arena`, in freed blocks */
} outrider_allocator_usage;
/* Returns 0 if glibc's allocator is not in use. Walks all free blocks and delays threads that
 * allocate. */
int outrider_allocator_read(outrider_allocator_usage *into);

/* The kernel's id of the calling thread; 0 if there is none. */
pid_t outrider_current_thread(void);

/* Result of capturing a thread's stack. */
typedef enum {
    OUTRIDER_CAPTURE_DONE = 0,
    OUTRIDER_CAPTURE_NO_THREAD = 1, /* the thread has ended */
    OUTRIDER_CAPTURE_TAKEN = 2,     /* other code uses SIGPROF */
    OUTRIDER_CAPTURE_TIMEOUT = 3,   /* the thread blocks the signal, or does not run */
    OUTRIDER_CAPTURE_OFF = 4,       /* not prepared, or an earlier capture never ended */
} outrider_capture_result;

/* Installs our SIGPROF handler, which passes signals that are not ours on to the previous handler
 * and stays installed. Returns 0 if SIGPROF is in use. Thread-safe. */
int outrider_capture_prepare(void);
/* Captures the stack of another thread of this process, innermost frame first, by sending it
 * SIGPROF.
 *
 * SIGPROF is the one signal that Dispatch leaves unblocked on its threads. It cuts sleep(3) short,
 * and calls that are not restarted fail with EINTR. Thread-safe: one capture at a time; concurrent
 * callers wait. */
outrider_capture_result outrider_capture(
    pid_t thread, unsigned timeout_ms, uintptr_t *pcs, size_t limit, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
