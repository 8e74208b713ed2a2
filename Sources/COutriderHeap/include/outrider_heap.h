/* SPDX-License-Identifier: Apache-2.0
 * The heap sampler behind the malloc hooks.
 *
 * Linking this interposes malloc and its relatives for the whole process. Each call goes on to the
 * allocator behind (glibc's, or a jemalloc or mimalloc that is linked or preloaded); now and then,
 * every `interval` bytes on average, one is remembered with its stack until it is freed.
 *
 * Everything is thread-safe. The tables are bounded; what does not fit is counted. Under the address,
 * thread and memory sanitizers the hooks are compiled away and the state is OUTRIDER_HEAP_ABSENT.
 */
#ifndef OUTRIDER_HEAP_H
#define OUTRIDER_HEAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Mean distance of two samples, in bytes, unless told otherwise. */
#define OUTRIDER_HEAP_DEFAULT_INTERVAL 524288
/* The longest interval; longer ones count as this one. */
#define OUTRIDER_HEAP_MAX_INTERVAL ((uint64_t)1 << 40)

typedef enum {
    OUTRIDER_HEAP_OFF = 0,      /* hooks pass everything on */
    OUTRIDER_HEAP_SAMPLING = 1, /* hooks sample */
    OUTRIDER_HEAP_REFUSED = 2,  /* hooks pass everything on and cannot be switched on; see the reason */
    OUTRIDER_HEAP_ABSENT = 3,   /* no hooks: a sanitizer, or a system that has none yet */
} outrider_heap_state_t;

outrider_heap_state_t outrider_heap_state(void);
/* Why the state is REFUSED or ABSENT, in a few words; "" otherwise. A constant string. */
const char *outrider_heap_refusal(void);
/* The file of the allocator behind, as the loader knows it ("/lib/x86_64-linux-gnu/libc.so.6"). */
const char *outrider_heap_allocator(void);

/* Starts sampling every `interval` bytes on average, or changes the interval while it runs.
 *
 * 0 counts as 1: everything is sampled. Each thread notices after at most 1 MiB of allocations.
 * Returns the state that holds afterwards. */
outrider_heap_state_t outrider_heap_start(uint64_t interval);
/* Sets what sampling may take, in nanoseconds of thread time a second; 0, as it is from the start, for any
 * amount. Where a second took more, whoever samples then widens the interval, by as much as it takes: so
 * nobody has to be awake for it. It never narrows the interval again; outrider_heap_start does. */
void outrider_heap_set_budget(uint64_t nanoseconds);
/* Stops sampling; blocks that are in the table stay there until they are freed. */
void outrider_heap_stop(void);
/* The interval in force, in bytes; 0 while it is off. */
uint64_t outrider_heap_interval(void);
/* Seeds the calling thread's random numbers, so that a test can be repeated. */
void outrider_heap_seed(uint64_t seed);

/* Leaves out what the calling thread allocates, until outrider_heap_resume was called as often. Some instructions. */
void outrider_heap_pause(void);
void outrider_heap_resume(void);

/* Estimated objects carry 16 binary digits behind the point. */
#define OUTRIDER_HEAP_OBJECT_SHIFT 16

/* Figures of the sampler since the process started, and of this moment. */
typedef struct {
    uint64_t allocated_objects; /* estimate, shifted by OUTRIDER_HEAP_OBJECT_SHIFT */
    uint64_t allocated_bytes;   /* estimate */
    uint64_t live_objects;      /* estimate, shifted */
    uint64_t live_bytes;        /* estimate */
    uint64_t samples;           /* taken ever */
    uint64_t live_samples;      /* in the table now */
    uint64_t refused_live;      /* sampled, but the table of live blocks was full or its lock was not to be had */
    uint64_t refused_sites;     /* sampled, but counted at site 0 since the table of stacks was full */
    uint64_t missed_frees;      /* frees whose sample stays, as the lock was not to be had */
    uint64_t truncated_stacks;  /* stacks that end early */
    uint64_t sampler_ns;        /* thread time spent in the sampler, in nanoseconds, estimated */
    uint64_t sites;             /* different stacks so far */
} outrider_heap_figures;

void outrider_heap_read_figures(outrider_heap_figures *figures);

/* A stack that has allocated, and what it has. Objects are shifted by OUTRIDER_HEAP_OBJECT_SHIFT. */
typedef struct {
    const uintptr_t *pcs; /* return addresses, innermost first; valid for ever */
    uint32_t depth;
    uint32_t is_truncated;
    uint64_t allocated_objects;
    uint64_t allocated_bytes;
    uint64_t live_objects;
    uint64_t live_bytes;
} outrider_heap_site;

/* Sites are numbered from 0 and never go away. Site 0 has no frames: it stands for all stacks that the
 * table had no room for. */
uint32_t outrider_heap_site_count(void);
/* Reads one site; 0 if there is none of this number. */
int outrider_heap_read_site(uint32_t number, outrider_heap_site *site);

/* Moves the stacks of libraries that were unloaded since the last look (outrider_modules_look), so that no library
 * which is loaded in their place is taken for them. dlclose does; to be called before a profile too, since libc
 * unloads libraries of its own without dlclose. Not for a hook of malloc or a signal handler. Thread-safe. */
void outrider_heap_look_at_modules(void);

/* A sampled block that has not been freed. */
typedef struct {
    uintptr_t address;
    uint64_t size;       /* as asked for */
    uint64_t objects;    /* how many blocks like it this one stands for, shifted */
    uintptr_t first_word;/* its first word, or 0 if it is smaller; anything may stand there */
    uint32_t site;
    uint32_t reserved;
} outrider_heap_live;

/* Copies the live samples of this moment, `capacity` at most; returns how many there were.
 *
 * Locks one 64th of the table at a time. The caller's memory should exist already. `*skipped` becomes the number of parts
 * that are missing, since a thread of the host's held their lock for seconds. */
size_t outrider_heap_copy_live(outrider_heap_live *into, size_t capacity, uint32_t *skipped);

#ifdef __cplusplus
}
#endif
#endif
