/* SPDX-License-Identifier: Apache-2.0
 * Tables for the libraries that are built without frame pointers.
 *
 * A table is made when its library is first seen, and never changes or goes away, so a hook may read it
 * while another thread makes more; the list of those that hold is replaced as a whole. A library that is
 * unloaded is left out of the next list, as something else may be loaded in its place; its table
 * stays, for readers of the old list. Both are bounded.
 */
#define _GNU_SOURCE
#include "eh_frame.h"
#include "outrider_stack.h"

#include <stdatomic.h>
#include <string.h>

#if defined(__linux__) && defined(__x86_64__)

#include <elf.h>
#include <link.h>
#include <sys/mman.h>

/* Tables that are ever made, and bytes of rows in them; libc's and libstdc++'s take some 600 KiB. */
enum { MOST_TABLES = 32, MOST_LISTS = 64 };
#define MOST_BYTES ((size_t)8 << 20)
/* Rows of a function, at most, on average. */
enum { ROWS_PER_FUNCTION = 24 };

/* Libraries whose frames are known to lack frame pointers. */
static const char *const libraries[] = {
    "libc.so.", "libstdc++.so.", "libswiftDispatch.so", "libdispatch.so", "libBlocksRuntime.so",
    "libgcc_s.so.", "libm.so.",
    "ld-linux-",
};

typedef struct {
    uintptr_t base; /* lowest address of the module */
    uintptr_t start, end; /* its code */
    const uint8_t *header;
    const unwind_row *rows;
    size_t count;
} table;

typedef struct {
    size_t count;
    const table *tables[MOST_TABLES];
} table_list;

static table made[MOST_TABLES];
static size_t made_count;
static size_t made_bytes;
static table_list lists[MOST_LISTS];
static size_t list_count;
static uint64_t generation;
static _Atomic(int) is_preparing;
static const table_list *_Atomic current;

static int is_listed(const char *path) {
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        if (strncmp(name, libraries[i], strlen(libraries[i])) == 0) return 1;
    return 0;
}

static size_t page_rounded(size_t size) { return (size + 4095) & ~(size_t)4095; }

/* Makes the rows of a module; NULL if there is no room, or nothing to make them of. */
static const table *make_table(table wanted, unwind_memory memory) {
    size_t capacity =
        outrider_stack_eh_frame_functions(memory, wanted.header) * ROWS_PER_FUNCTION;
    size_t size = page_rounded(capacity * sizeof(unwind_row));
    if (made_count == MOST_TABLES || capacity == 0 || size > (size_t)256 << 20) return NULL;
    unwind_row *rows = mmap(
        NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (rows == MAP_FAILED) return NULL;
    wanted.count =
        outrider_stack_read_eh_frame(memory, wanted.header, wanted.base, rows, capacity);
    size_t used = page_rounded(wanted.count * sizeof(unwind_row));
    if (used < size) munmap((char *)rows + used, size - used);
    if (wanted.count == 0) return NULL;
    if (made_bytes + used > MOST_BYTES) {
        munmap(rows, used);
        return NULL;
    }
    made_bytes += used;
    wanted.rows = rows;
    made[made_count] = wanted;
    return &made[made_count++];
}

static const table *table_of(table wanted, unwind_memory memory) {
    for (size_t i = 0; i < made_count; i++)
        if (made[i].base == wanted.base && made[i].end == wanted.end
            && made[i].header == wanted.header)
            return &made[i];
    return make_table(wanted, memory);
}

/* Adds the table of a loaded library to the list that is being made. */
static int add_library(struct dl_phdr_info *info, size_t size, void *argument) {
    (void)size;
    table_list *list = argument;
    table wanted = {.base = UINTPTR_MAX};
    if (!is_listed(info->dlpi_name) || list->count == MOST_TABLES) return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t place = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_GNU_EH_FRAME) wanted.header = (const uint8_t *)place;
        if (header->p_type != PT_LOAD) continue;
        if (place < wanted.base) wanted.base = place;
        if (header->p_flags & PF_X) {
            wanted.start = place;
            wanted.end = place + header->p_memsz;
        }
    }
    for (int i = 0; wanted.header && wanted.end && i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        const uint8_t *place = (const uint8_t *)(info->dlpi_addr + header->p_vaddr);
        unwind_memory memory = {place, place + header->p_memsz};
        if (header->p_type != PT_LOAD || wanted.header < memory.start || wanted.header >= memory.end)
            continue;
        const table *found = table_of(wanted, memory);
        if (found) list->tables[list->count++] = found;
    }
    return 0;
}

static int read_generation(struct dl_phdr_info *info, size_t size, void *argument) {
    (void)size;
    *(uint64_t *)argument = ((uint64_t)info->dlpi_adds << 32 ^ (uint64_t)info->dlpi_subs) | 1;
    return 1;
}

/* Whether the list that holds has the same tables. */
static int is_current(const table_list *list) {
    const table_list *now = atomic_load_explicit(&current, memory_order_relaxed);
    return now && now->count == list->count
        && memcmp(now->tables, list->tables, list->count * sizeof *list->tables) == 0;
}

size_t outrider_stack_prepare_tables(void) {
    if (atomic_exchange_explicit(&is_preparing, 1, memory_order_acquire)) return 0;
    uint64_t seen = 0;
    dl_iterate_phdr(read_generation, &seen);
    if (seen != generation && list_count < MOST_LISTS) {
        table_list *list = &lists[list_count];
        list->count = 0;
        dl_iterate_phdr(add_library, list);
        generation = seen;
        if (!is_current(list)) {
            list_count++;
            /* ORDERING: release; who finds the list finds its tables and their rows. */
            atomic_store_explicit(&current, list, memory_order_release);
        }
    }
    size_t bytes = made_bytes;
    atomic_store_explicit(&is_preparing, 0, memory_order_release);
    return bytes;
}

static const table *table_at(uintptr_t pc) {
    const table_list *list = atomic_load_explicit(&current, memory_order_acquire);
    for (size_t i = 0; list && i < list->count; i++)
        if (pc >= list->tables[i]->start && pc < list->tables[i]->end) return list->tables[i];
    return NULL;
}

/* The row that holds at a place; NULL in front of the first. */
static const unwind_row *row_at(const table *from, uintptr_t pc) {
    uint32_t place = (uint32_t)(pc - from->base);
    size_t low = 0, count = from->count;
    while (count > 0) {
        size_t half = count / 2;
        if (from->rows[low + half].place <= place) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return low > 0 ? &from->rows[low - 1] : NULL;
}

static int is_word_on_stack(uintptr_t address, outrider_stack_bounds bounds) {
    return (address & 7) == 0 && address >= bounds.low && address < bounds.high
        && bounds.high - address >= 8;
}

int outrider_stack_table_step(outrider_stack_point *point, outrider_stack_bounds bounds) {
    /* Of the call, which is before the address that it returns to. */
    uintptr_t pc = point->pc - 1;
    const table *from = table_at(pc);
    const unwind_row *row = from ? row_at(from, pc) : NULL;
    if (!row || row->cfa == CFA_UNKNOWN) return 0;
    if (row->cfa == CFA_OUTERMOST) return -1;
    uintptr_t origin = row->cfa & CFA_FROM_FP ? point->fp : point->sp;
    uintptr_t cfa = origin + (uintptr_t)(row->cfa & CFA_WORDS) * 8;
    uintptr_t saved_fp = cfa - (uintptr_t)row->fp * 8;
    if (cfa <= point->sp || !is_word_on_stack(cfa - 8, bounds)
        || (row->fp && !is_word_on_stack(saved_fp, bounds)))
        return 0;
    point->pc = *(const uintptr_t *)(cfa - 8);
    if (row->fp) point->fp = *(const uintptr_t *)saved_fp;
    point->sp = cfa;
    return 1;
}

#else

size_t outrider_stack_prepare_tables(void) { return 0; }

int outrider_stack_table_step(outrider_stack_point *point, outrider_stack_bounds bounds) {
    (void)point, (void)bounds;
    return 0;
}

#endif
