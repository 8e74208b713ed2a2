/* SPDX-License-Identifier: Apache-2.0
 * What only a Swift runtime can tell, and only from C: its hooks, and the stack of a thread that hangs.
 *
 * Every symbol of the runtime is referred to weakly: where one is not there, or is not what is known of
 * it, the function that needs it says so and changes nothing. A hook that is once in place stays there
 * and passes everything on; on and off are a flag, for the runtime reads its hooks without any order.
 */
#ifndef OUTRIDER_RUNTIME_H
#define OUTRIDER_RUNTIME_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What became of a wish to switch a hook on. */
typedef enum {
    OUTRIDER_HOOK_ON = 0,
    OUTRIDER_HOOK_ABSENT = 1,         /* this runtime has no such hook */
    OUTRIDER_HOOK_UNKNOWN_LAYOUT = 2, /* it is of a kind that is not known here */
    OUTRIDER_HOOK_UNREACHABLE = 3,    /* linked into the program, so that calls cannot be seen */
} outrider_hook_result;

/* Jobs: what is enqueued on the global executor.
 *
 * A relaxed addition to one of 64 counters for each job. A hook that was there before is called by ours.
 * Thread-safe. */
outrider_hook_result outrider_jobs_start(void);
void outrider_jobs_stop(void);
uint64_t outrider_jobs_enqueued(void);

/* Live tasks; experimental.
 *
 * Seen are tasks that were created after the start by calls out of files that are loaded then, or at the
 * next start, which may be called again and again. Those are counted until they are destroyed; others,
 * such as the ones that the runtime makes for itself, are not.
 * Some 114,000 at most; more are counted as refused. One of 64 locks, and a few cache lines, at the
 * creation and at the end of each task. Thread-safe. */
typedef struct {
    uint64_t created;
    uint64_t live;
    uint64_t refused; /* created, but not in `live`: the table was full */
} outrider_task_figures;
outrider_hook_result outrider_tasks_start(void);
void outrider_tasks_stop(void);
outrider_task_figures outrider_tasks_read(void);

/* Objects by type: what swift_allocObject is asked for, a sample in every `interval` bytes on average.
 *
 * Seen are the calls out of files that are loaded then, or at the next start; not those that libswiftCore
 * makes for its own unspecialised code. Each sample stands for `interval` bytes; what is as large as that
 * is counted as it is. Up to
 * OUTRIDER_OBJECT_TYPES types are kept apart, in the order of their first sample; the rest is in the last
 * one, which has no metadata. Thread-safe. */
#define OUTRIDER_OBJECT_TYPES 500
#define OUTRIDER_OBJECT_SHIFT 10 /* objects are counted in 1/1024 */
typedef struct {
    uintptr_t metadata;
    uint64_t bytes;
    uint64_t objects;
} outrider_object_type;
outrider_hook_result outrider_objects_start(uint64_t interval);
void outrider_objects_stop(void);
/* Writes what is known of each type, at most OUTRIDER_OBJECT_TYPES + 1; returns how many. */
size_t outrider_objects_read(outrider_object_type *into);

/* What glibc's allocator holds, in bytes. */
typedef struct {
    size_t arena;   /* from the kernel, for blocks of usual size */
    size_t mmapped; /* from the kernel, for single large blocks */
    size_t in_use;  /* of `arena`, in blocks that were not freed */
    size_t unused;  /* of `arena`, in blocks that were */
} outrider_allocator_figures;
/* 0 if glibc's allocator is not the one in use. Walks all free blocks; holds up those who allocate. */
int outrider_allocator_read(outrider_allocator_figures *into);

/* The kernel's number of the calling thread; 0 where there is none. */
pid_t outrider_current_thread(void);

/* What became of a wish to see a thread's stack. */
typedef enum {
    OUTRIDER_CAPTURE_DONE = 0,
    OUTRIDER_CAPTURE_NO_THREAD = 1, /* it has ended */
    OUTRIDER_CAPTURE_TAKEN = 2,     /* somebody else has taken SIGPROF */
    OUTRIDER_CAPTURE_TIMEOUT = 3,   /* it blocks the signal, or does not run */
    OUTRIDER_CAPTURE_OFF = 4,       /* not prepared, or an earlier one has never ended */
} outrider_capture_result;

/* Makes ready to capture: our handler for SIGPROF, which passes on signals that are not ours to the one
 * before it and stays. 0 if it cannot be had. Thread-safe. */
int outrider_capture_prepare(void);
/* Captures the stack of another thread of this process, innermost first, by SIGPROF.
 *
 * The one signal that Dispatch leaves open on its threads. It cuts sleep(3) short and lets other calls
 * that are not restarted fail with EINTR. Thread-safe; one capture at a time, the others wait. */
outrider_capture_result outrider_capture(
    pid_t thread, unsigned timeout_ms, uintptr_t *pcs, size_t limit, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
