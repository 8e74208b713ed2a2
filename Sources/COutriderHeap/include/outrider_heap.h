/* SPDX-License-Identifier: Apache-2.0
 * The heap sampler behind the malloc hooks.
 *
 * Linking this module interposes malloc and its relatives for the whole process. Each call is
 * passed on to the next allocator (glibc's, or a jemalloc or mimalloc that is linked or preloaded).
 * On average every `interval` bytes, one block is recorded with its stack until it is freed.
 *
 * All functions are thread-safe. The tables are bounded; samples that do not fit are counted. Under
 * the address, thread and memory sanitizers the hooks are compiled out and the state is
 * OUTRIDER_HEAP_ABSENT.
 */
#ifndef OUTRIDER_HEAP_H
#define OUTRIDER_HEAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The default mean distance between two samples, in bytes. */
#define OUTRIDER_HEAP_DEFAULT_INTERVAL 524288
/* The longest interval; longer ones are clamped to it. */
#define OUTRIDER_HEAP_MAX_INTERVAL ((uint64_t)1 << 40)

typedef enum {
    OUTRIDER_HEAP_OFF = 0,      /* hooks pass everything on */
    OUTRIDER_HEAP_SAMPLING = 1, /* hooks sample */
    OUTRIDER_HEAP_REFUSED = 2,  /* hooks pass everything on and cannot sample; see the refusal */
    OUTRIDER_HEAP_ABSENT = 3,   /* no hooks: a sanitizer, or an unsupported system */
} outrider_heap_state_t;

outrider_heap_state_t outrider_heap_state(void);
/* Why the state is REFUSED or ABSENT, in a few words; "" otherwise. A constant string. */
const char *outrider_heap_refusal(void);
/* The file of the next allocator, as the loader names it ("/lib/x86_64-linux-gnu/libc.so.6"). */
const char *outrider_heap_allocator(void);

/* Starts sampling every `interval` bytes on average, or changes the interval while sampling runs.
 *
 * 0 is treated as 1: every allocation is sampled. Each thread picks up the change after at most 1
 * MiB of allocations. Returns the resulting state. */
outrider_heap_state_t outrider_heap_start(uint64_t interval);
/* Sets the budget of sampling, in nanoseconds of thread time per second; 0, the default, sets no
 * limit. After a second that exceeded it, a sampling thread widens the interval in proportion, so
 * no background thread is needed. It never narrows the interval; outrider_heap_start does. */
void outrider_heap_set_budget(uint64_t nanoseconds);
/* Stops sampling; blocks in the table stay there until they are freed. */
void outrider_heap_stop(void);
/* The current interval, in bytes; 0 while sampling is off. */
uint64_t outrider_heap_interval(void);
/* Seeds the calling thread's random number generator, for repeatable tests. */
void outrider_heap_seed(uint64_t seed);

/* For a signal handler that wants the tables unchanged: if the interrupted thread is changing them,
 * `work` is called by that thread when it has finished, instead of earlier `work`, and 1 is
 * returned. 0 if it is not. Async-signal-safe. */
int outrider_heap_defer(void (*work)(void));
/* For a copy of the process that was forked in a signal handler, which may have interrupted malloc:
 * from now on malloc and its relatives are served from separate memory, blocks allocated before are
 * never freed, and nothing is sampled. The copy must have one thread only. */
void outrider_heap_isolate(void);

/* Excludes the calling thread's allocations until outrider_heap_resume has been called as many
 * times. Costs a few instructions. */
void outrider_heap_pause(void);
void outrider_heap_resume(void);

/* Estimated object counts are fixed-point numbers with 16 fractional bits. */
#define OUTRIDER_HEAP_OBJECT_SHIFT 16

/* Totals of the sampler since the process started, and its current state. */
typedef struct {
    uint64_t allocated_objects; /* estimate, shifted by OUTRIDER_HEAP_OBJECT_SHIFT */
    uint64_t allocated_bytes;   /* estimate */
    uint64_t live_objects;      /* estimate, shifted */
    uint64_t live_bytes;        /* estimate */
    uint64_t samples;           /* taken since the start */
    uint64_t live_samples;      /* in the table now */
    uint64_t refused_live;      /* sampled, but the live table was full or locked */
    uint64_t refused_sites;     /* sampled, but counted at site 0: the stack table was full */
    uint64_t missed_frees;      /* frees whose sample stays: its lock was not available */
    uint64_t truncated_stacks;  /* stacks that end early */
    uint64_t sampler_ns;        /* thread time spent in the sampler, in nanoseconds, estimated */
    uint64_t sites;             /* different stacks so far */
} outrider_heap_counters;

void outrider_heap_read_counters(outrider_heap_counters *counters);

/* An allocating stack and its totals. Objects are shifted by OUTRIDER_HEAP_OBJECT_SHIFT. */
typedef struct {
    const uintptr_t *pcs; /* return addresses, innermost first; never freed */
    uint32_t depth;
    uint32_t is_truncated;
    uint64_t allocated_objects;
    uint64_t allocated_bytes;
    uint64_t live_objects;
    uint64_t live_bytes;
} outrider_heap_site;

/* Sites are numbered from 0 and are never removed. Site 0 has no frames: it stands for all stacks
 * that did not fit into the table. */
uint32_t outrider_heap_site_count(void);
/* Reads one site; returns 0 if no site has this number. */
int outrider_heap_read_site(uint32_t index, outrider_heap_site *site);

/* Moves the stacks of libraries that were unloaded since the last call (outrider_modules_update),
 * so that a library loaded at the same addresses is not mistaken for them. dlclose calls this; call
 * it before taking a profile too, because libc unloads its own libraries without dlclose. Must not
 * be called from a malloc hook or a signal handler. Thread-safe. */
void outrider_heap_update_modules(void);

/* A sampled block that has not been freed. */
typedef struct {
    uintptr_t address;
    uint64_t size;       /* as requested */
    uint64_t objects;    /* number of blocks that this sample represents, shifted */
    uintptr_t first_word;/* its first word, of any content; 0 if it is smaller */
    uint32_t site;
    uint32_t reserved;
} outrider_heap_live;

/* Copies the current live samples, at most `capacity`; returns how many there were.
 *
 * Locks one 64th of the table at a time. `into` should be resident memory. Sets `*skipped` to the
 * number of parts that are missing because a thread of the service held their lock for seconds. */
size_t outrider_heap_copy_live(outrider_heap_live *into, size_t capacity, uint32_t *skipped);

#ifdef __cplusplus
}
#endif
#endif
