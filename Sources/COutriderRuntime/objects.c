/* SPDX-License-Identifier: Apache-2.0
 * Samples the objects that swift_allocObject creates, by their metadata.
 *
 * Each thread counts bytes down; the allocation that brings the countdown below zero is a sample
 * and represents the mean gap. Gaps vary, so that no pattern of the program can synchronize with
 * them. An object of at least the mean size counts for itself and leaves the countdown unchanged.
 * Types are in a table of fixed size that only grows; nothing here allocates, so a hook cannot
 * re-enter itself.
 *
 * Calls are seen if files make them through their global offset table. The runtime also has a
 * pointer for this, _swift_allocObject, but in Swift 6.3 the first call through a replaced function
 * switches on a second set of functions for retain and release, which dereferences the tagged
 * pointers of small strings: the process crashes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "outrider_runtime.h"
#include "slots.h"
#include "swift_abi.h"

#define SLOTS 2048 /* a power of two, well above the number of types kept */

static struct {
    _Atomic(uintptr_t) metadata;
    atomic_uint_fast64_t bytes;
    atomic_uint_fast64_t objects;
} types[SLOTS + 1]; /* the last one is for all types without a slot */
static atomic_uint type_count;
static atomic_uint_fast64_t mean; /* 0: off */
static _Atomic(swift_allocate_object) next;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static slots_look calls; /* of the thread with the turn */

static __thread int64_t left;
static __thread uint64_t chance;

/* A random gap between half the mean and one and a half times the mean. */
static int64_t new_gap(uint64_t interval) {
    if (chance == 0) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        chance = ((uint64_t)now.tv_nsec << 20 ^ (uintptr_t)&chance) | 1;
    }
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (int64_t)(interval / 2 + chance % (interval + 1));
}

static size_t slot_of(uintptr_t metadata) {
    size_t slot = (metadata >> 3) * 0x9e3779b97f4a7c15u >> 40;
    for (size_t step = 0; step < SLOTS; step++) {
        size_t here = (slot + step) % SLOTS;
        uintptr_t found = atomic_load_explicit(&types[here].metadata, memory_order_relaxed);
        if (found == metadata) return here;
        if (found != 0) continue;
        if (atomic_load_explicit(&type_count, memory_order_relaxed) >= OUTRIDER_OBJECT_TYPES) break;
        if (atomic_compare_exchange_strong_explicit(
                &types[here].metadata, &found, metadata, memory_order_relaxed,
                memory_order_relaxed)) {
            atomic_fetch_add_explicit(&type_count, 1, memory_order_relaxed);
            return here;
        }
        if (found == metadata) return here;
    }
    return SLOTS;
}

__attribute__((noinline)) static void sample(const void *metadata, size_t size) {
    uint64_t interval = atomic_load_explicit(&mean, memory_order_relaxed);
    if (interval == 0) {
        left = 1 << 20;
        return;
    }
    uint64_t bytes = size, objects = 1 << OUTRIDER_OBJECT_SHIFT;
    if (size < interval) {
        int is_first = chance == 0;
        left += new_gap(interval);
        /* The start of a thread is not a sample, but the start of a gap. */
        if (is_first) return;
        bytes = interval;
        objects = ((interval << OUTRIDER_OBJECT_SHIFT) + size / 2) / (size ? size : 1);
    } else {
        left += (int64_t)size;
    }
    size_t slot = slot_of((uintptr_t)metadata);
    atomic_fetch_add_explicit(&types[slot].bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&types[slot].objects, objects, memory_order_relaxed);
}

static void *allocate(const void *metadata, size_t size, size_t alignment_mask) {
    left -= (int64_t)size;
    if (__builtin_expect(left < 0, 0)) {
        sample(metadata, size);
    } else if (__builtin_expect(size >= 64 << 10, 0)) {
        /* Possibly large enough to count for itself, although the countdown continues. */
        uint64_t interval = atomic_load_explicit(&mean, memory_order_relaxed);
        if (interval != 0 && size >= interval) sample(metadata, size);
    }
    return atomic_load_explicit(&next, memory_order_acquire)(metadata, size, alignment_mask);
}

outrider_hook_result outrider_objects_start(uint64_t interval) {
    void *original = dlsym(RTLD_DEFAULT, "swift_allocObject");
    if (!original) return OUTRIDER_HOOK_UNREACHABLE;
    pthread_mutex_lock(&turn);
    atomic_store_explicit(&next, (swift_allocate_object)original, memory_order_release);
    size_t slots = slots_replace_calls("swift_allocObject", (void *)allocate, &calls);
    pthread_mutex_unlock(&turn);
    if (slots == 0) return OUTRIDER_HOOK_UNREACHABLE;
    uint64_t least = 64 << 10, most = UINT64_C(1) << 40;
    atomic_store_explicit(
        &mean, interval < least ? least : interval > most ? most : interval, memory_order_relaxed);
    return OUTRIDER_HOOK_ON;
}

void outrider_objects_stop(void) { atomic_store_explicit(&mean, 0, memory_order_relaxed); }

size_t outrider_objects_read(outrider_object_type *into) {
    size_t count = 0;
    for (size_t slot = 0; slot <= SLOTS; slot++) {
        uintptr_t metadata = atomic_load_explicit(&types[slot].metadata, memory_order_relaxed);
        uint64_t bytes = atomic_load_explicit(&types[slot].bytes, memory_order_relaxed);
        if (bytes == 0 || count > OUTRIDER_OBJECT_TYPES) continue;
        into[count++] = (outrider_object_type){
            metadata, bytes, atomic_load_explicit(&types[slot].objects, memory_order_relaxed)};
    }
    return count;
}
