/* SPDX-License-Identifier: Apache-2.0
 * Live tasks: a set of tasks whose creation was seen, until they are destroyed.
 *
 * Creation is seen if files call swift_task_create through their global offset table; destruction,
 * in the metadata that all tasks share. The runtime creates tasks for itself that the same function
 * destroys, hence a set instead of two counters. It uses open addressing in 64 parts with a lock
 * each, in memory that is mapped when counting is first started.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "outrider_runtime.h"
#include "slots.h"
#include "swift_abi.h"

#define KNOWN_LAYOUT 1
#define PARTS 64
#define PART_SLOTS 2048
#define PART_LIMIT (PART_SLOTS / 8 * 7) /* keeps probe sequences short */

typedef struct {
    _Alignas(64) atomic_flag lock;
    size_t count;
    uint64_t created, refused;
    uintptr_t tasks[PART_SLOTS];
} part;

static _Atomic(part *) parts;
static atomic_bool is_seeing;
static _Atomic(swift_create_task) create;
static _Atomic(swift_destroy) destroy;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static slots_look calls; /* of the thread with the turn */

static uint64_t hash(uintptr_t task) { return (task >> 4) * 0x9e3779b97f4a7c15u; }

static part *part_of(uintptr_t task) {
    part *all = atomic_load_explicit(&parts, memory_order_acquire);
    return all ? &all[hash(task) >> 58] : NULL;
}

static size_t home(uintptr_t task) { return (hash(task) >> 40) % PART_SLOTS; }

static void lock(part *own) {
    for (int tries = 0; atomic_flag_test_and_set_explicit(&own->lock, memory_order_acquire); tries++) {
        if (tries % 64 == 63) sched_yield();
    }
}

static void unlock(part *own) { atomic_flag_clear_explicit(&own->lock, memory_order_release); }

static void remember(uintptr_t task) {
    part *own = part_of(task);
    if (!own || !task) return;
    lock(own);
    own->created++;
    if (own->count >= PART_LIMIT) {
        own->refused++;
    } else {
        size_t slot = home(task);
        while (own->tasks[slot] != 0) slot = (slot + 1) % PART_SLOTS;
        own->tasks[slot] = task;
        own->count++;
    }
    unlock(own);
}

/* Closes the gap that a removed task leaves: moves up each later task that may use the free
 * slot. */
static void close_gap(part *own, size_t gap) {
    for (size_t slot = (gap + 1) % PART_SLOTS; own->tasks[slot] != 0; slot = (slot + 1) % PART_SLOTS) {
        size_t distance = (slot - home(own->tasks[slot])) % PART_SLOTS;
        if (distance >= (slot - gap) % PART_SLOTS) {
            own->tasks[gap] = own->tasks[slot];
            gap = slot;
        }
    }
    own->tasks[gap] = 0;
}

static void forget(uintptr_t task) {
    part *own = part_of(task);
    if (!own) return;
    lock(own);
    for (size_t slot = home(task); own->tasks[slot] != 0; slot = (slot + 1) % PART_SLOTS) {
        if (own->tasks[slot] != task) continue;
        close_gap(own, slot);
        own->count--;
        break;
    }
    unlock(own);
}

static SWIFT_CALL swift_task_and_context create_task(
    size_t flags, void *options, const void *result_type, void *entry, void *closure) {
    swift_create_task original = atomic_load_explicit(&create, memory_order_acquire);
    swift_task_and_context made = original(flags, options, result_type, entry, closure);
    /* The caller still holds the task, even if it has already run. */
    if (atomic_load_explicit(&is_seeing, memory_order_relaxed)) remember((uintptr_t)made.task);
    return made;
}

static SWIFT_CALL void destroy_task(SWIFT_CONTEXT void *task) {
    /* Before its memory can be reused. Also while counting is stopped, for tasks counted before. */
    forget((uintptr_t)task);
    atomic_load_explicit(&destroy, memory_order_acquire)(task);
}

/* Installs our function as the one that the metadata names for destroying tasks. */
static int watch_destruction(void) {
    const void *metadata = _swift_concurrency_debug_asyncTaskMetadata;
    if (!metadata) return 0;
    void **slot = (void **)metadata - 2;
    void *now = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    if (now == (void *)destroy_task) return 1;
    if (!now) return 0;
    atomic_store_explicit(&destroy, (swift_destroy)now, memory_order_release);
    return slots_write(slot, (void *)destroy_task);
}

static outrider_hook_result start(void) {
    if (!&_swift_concurrency_debug_internal_layout_version ||
        !&_swift_concurrency_debug_asyncTaskMetadata) {
        return OUTRIDER_HOOK_ABSENT;
    }
    if (_swift_concurrency_debug_internal_layout_version != KNOWN_LAYOUT) {
        return OUTRIDER_HOOK_UNKNOWN_LAYOUT;
    }
    void *original = dlsym(RTLD_DEFAULT, "swift_task_create");
    if (!original) return OUTRIDER_HOOK_UNREACHABLE;
    if (!atomic_load(&parts)) {
        void *memory = mmap(
            NULL, sizeof(part) * PARTS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return OUTRIDER_HOOK_ABSENT;
        atomic_store_explicit(&parts, (part *)memory, memory_order_release);
    }
    atomic_store_explicit(&create, (swift_create_task)original, memory_order_release);
    if (!watch_destruction()) return OUTRIDER_HOOK_UNKNOWN_LAYOUT;
    if (slots_replace_calls("swift_task_create", (void *)create_task, &calls) == 0) {
        return OUTRIDER_HOOK_UNREACHABLE;
    }
    atomic_store_explicit(&is_seeing, 1, memory_order_relaxed);
    return OUTRIDER_HOOK_ON;
}

outrider_hook_result outrider_tasks_start(void) {
    pthread_mutex_lock(&turn);
    outrider_hook_result result = start();
    pthread_mutex_unlock(&turn);
    return result;
}

void outrider_tasks_stop(void) { atomic_store_explicit(&is_seeing, 0, memory_order_relaxed); }

outrider_task_counts outrider_tasks_read(void) {
    outrider_task_counts sum = {0, 0, 0};
    part *all = atomic_load_explicit(&parts, memory_order_acquire);
    for (int index = 0; all && index < PARTS; index++) {
        lock(&all[index]);
        sum.created += all[index].created;
        sum.live += all[index].count;
        sum.refused += all[index].refused;
        unlock(&all[index]);
    }
    return sum;
}
