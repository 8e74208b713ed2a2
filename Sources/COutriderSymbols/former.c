/* SPDX-License-Identifier: Apache-2.0
 * Unloaded libraries, and the ranges that their addresses were moved to.
 *
 * A look lists the loaded modules if something has changed since the previous look; a module
 * missing from the new list was unloaded. Lists are mapped, not allocated: this runs around
 * dlclose, and while a program ends.
 */
#define _GNU_SOURCE
#include "outrider_symbols.h"

#if defined(__linux__)

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* Libraries that may be loaded between counting and listing them. */
enum { MORE = 16 };
/* Spins before a thread gives up; half-millisecond sleeps of a reader, which may sleep. */
enum { SPINS = 100000, SLEEPS = 200, SLEEP_NS = 500000 };
/* Number of moves that addresses can still follow. */
enum { MOST_MOVES = 256 };
/* Size of one library's range, and number of ranges before they are reused. */
enum { IMAGE_BITS = 40, IMAGES = 1 << 22 };

typedef struct {
    outrider_module *modules;
    size_t count, room;
} list;

typedef struct {
    uintptr_t start, end, to;
} move;

static _Atomic(bool) is_busy;
static bool holds_for_fork, forks_alone;
/* False in a child that was forked while other threads existed: one of them may have held the
 * loader's lock, which is then never released in the child. */
static bool may_ask_loader = true;
static _Atomic(uint64_t) seen_generation, move_count;
/* The list of the last look, and the memory of the previous one, for reuse. */
static list loaded, spare;
/* Mapped when the first library is unloaded. Both are circular: the oldest entry is overwritten. */
static outrider_module *former;
static uint64_t former_count, images;
static move moves[MOST_MOVES];

/* Waits without a system call: dlclose may be called in a process that has confined itself. */
static bool begin(void) {
    for (int look = 0; look < SPINS; look++) {
        bool is_free = false;
        if (atomic_compare_exchange_strong(&is_busy, &is_free, true)) return true;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    return false;
}

static bool begin_patiently(void) {
    for (int sleeps = 0; sleeps < SLEEPS; sleeps++) {
        if (begin()) return true;
        nanosleep(&(struct timespec){0, SLEEP_NS}, NULL);
    }
    return false;
}

static void end(void) { atomic_store(&is_busy, false); }

/* glibc's since 2.32: whether the process has only one thread (sys/single_threaded.h). */
extern char __libc_single_threaded __attribute__((weak));

void outrider_modules_before_fork(void) {
    forks_alone = &__libc_single_threaded && __libc_single_threaded;
    holds_for_fork = begin();
}

void outrider_modules_after_fork(int is_child) {
    if (is_child && !forks_alone) may_ask_loader = false;
    if (holds_for_fork) end();
}

static void *map_memory(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* Lists the loaded modules in the spare memory; false if memory is short. */
static bool list_loaded(void) {
    size_t needed = outrider_modules_list(NULL, 0) + MORE;
    if (needed > spare.room) {
        if (spare.modules) munmap(spare.modules, spare.room * sizeof *spare.modules);
        spare = (list){map_memory(2 * needed * sizeof *spare.modules), 0, 2 * needed};
        if (!spare.modules) spare.room = 0;
        if (!spare.modules) return false;
    }
    size_t count = outrider_modules_list(spare.modules, spare.room);
    spare.count = count < spare.room ? count : spare.room;
    return true;
}

/* Whether two segments belong to the same file, regardless of its address. */
static bool is_same_file(const outrider_module *one, const outrider_module *other) {
    return one->image_start - one->bias == other->image_start - other->bias
        && one->image_end - one->bias == other->image_end - other->bias
        && one->build_id_size == other->build_id_size
        && memcmp(one->build_id, other->build_id, one->build_id_size) == 0
        && strcmp(one->path, other->path) == 0;
}

static bool is_same_segment(const outrider_module *one, const outrider_module *other) {
    return one->start - one->bias == other->start - other->bias
        && one->end - one->bias == other->end - other->bias && one->file_offset == other->file_offset;
}

static size_t former_kept(void) {
    return former_count < OUTRIDER_MODULES_FORMER_LIMIT ? (size_t)former_count
                                                        : OUTRIDER_MODULES_FORMER_LIMIT;
}

/* The range of an unloaded segment's file: its previous one, or a new one. */
static uintptr_t range_of(const outrider_module *gone, bool *is_known) {
    uintptr_t range = 0;
    *is_known = false;
    for (size_t i = 0; i < former_kept(); i++) {
        if (!is_same_file(&former[i], gone)) continue;
        range = former[i].image_start;
        *is_known |= is_same_segment(&former[i], gone);
    }
    return range ? range : OUTRIDER_MODULES_FORMER | (uintptr_t)(images++ % IMAGES) << IMAGE_BITS;
}

/* Records an unloaded segment; returns the new start of its file, or 0. */
static uintptr_t remember(const outrider_module *gone) {
    if (!former) former = map_memory(OUTRIDER_MODULES_FORMER_LIMIT * sizeof *former);
    if (!former || (gone->image_end - gone->image_start) >> IMAGE_BITS) return 0;
    bool is_known;
    uintptr_t range = range_of(gone, &is_known), by = range - gone->image_start;
    if (is_known) return range;
    outrider_module *kept = &former[former_count % OUTRIDER_MODULES_FORMER_LIMIT];
    *kept = *gone;
    kept->bias += by;
    kept->start += by;
    kept->end += by;
    kept->image_start += by;
    kept->image_end += by;
    former_count++;
    return range;
}

/* Calls `moved` for modules missing from the new list, which has nearly the same order. */
static void move_what_is_gone(const list *now, outrider_modules_move *moved) {
    size_t at = 0;
    uintptr_t last = 0;
    for (size_t i = 0; i < loaded.count; i++) {
        const outrider_module *module = &loaded.modules[i];
        size_t looked = 0;
        for (; looked < now->count; looked++, at++) {
            if (at >= now->count) at = 0;
            const outrider_module *other = &now->modules[at];
            if (other->start == module->start && is_same_segment(other, module)
                && is_same_file(other, module))
                break;
        }
        if (looked < now->count) continue;
        uintptr_t to = remember(module);
        if (!to || module->image_start == last) continue;
        /* Once for all segments of a file, which are adjacent in the list. */
        last = module->image_start;
        uint64_t count = atomic_load_explicit(&move_count, memory_order_relaxed);
        moves[count % MOST_MOVES] = (move){module->image_start, module->image_end, to};
        atomic_store_explicit(&move_count, count + 1, memory_order_release);
        moved(module->image_start, module->image_end, to);
    }
}

void outrider_modules_update(outrider_modules_move *moved) {
    if (!may_ask_loader) return;
    int saved = errno;
    /* Before the list: changes made while it is created are found by the next look. */
    uint64_t generation = outrider_modules_generation();
    if (generation != atomic_load(&seen_generation) && begin()) {
        if (list_loaded()) {
            move_what_is_gone(&spare, moved);
            list before = loaded;
            loaded = spare;
            spare = before;
            atomic_store(&seen_generation, generation);
        }
        end();
    }
    errno = saved;
}

size_t outrider_modules_unloaded(outrider_module *into, size_t capacity) {
    if (outrider_modules_moves() == 0 || !begin_patiently()) return 0;
    size_t count = former_kept();
    if (capacity) memcpy(into, former, (count < capacity ? count : capacity) * sizeof *into);
    end();
    return count;
}

uint64_t outrider_modules_moves(void) {
    return atomic_load_explicit(&move_count, memory_order_acquire);
}

void outrider_modules_follow(uintptr_t *addresses, size_t count, uint64_t since) {
    if (outrider_modules_moves() == since || !begin_patiently()) return;
    uint64_t all = outrider_modules_moves();
    if (all - since > MOST_MOVES) since = all - MOST_MOVES;
    for (; since < all; since++) {
        move by = moves[since % MOST_MOVES];
        for (size_t i = 0; i < count; i++) {
            /* The address of the call, which is before its return address. */
            uintptr_t call = addresses[i] - 1;
            if (call >= by.start && call < by.end) addresses[i] += by.to - by.start;
        }
    }
    end();
}

#else

void outrider_modules_update(outrider_modules_move *moved) { (void)moved; }
void outrider_modules_before_fork(void) {}
void outrider_modules_after_fork(int is_child) { (void)is_child; }
size_t outrider_modules_unloaded(outrider_module *into, size_t capacity) {
    (void)into, (void)capacity;
    return 0;
}
uint64_t outrider_modules_moves(void) { return 0; }
void outrider_modules_follow(uintptr_t *addresses, size_t count, uint64_t since) {
    (void)addresses, (void)count, (void)since;
}

#endif
