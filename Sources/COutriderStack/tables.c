/* SPDX-License-Identifier: Apache-2.0
 * The directory of libraries with unwind tables, and stepping by a table.
 *
 * Tables never change and are never unmapped, so a hook or a signal handler may be using one at any
 * time. The addresses of libraries do change: they are kept in a directory with a sequence count. A
 * reader that sees a change, or interrupts the thread that makes it, gets no step instead of
 * waiting.
 *
 * ORDERING: the writer makes the count odd, writes the entries and makes it even again; a reader
 * that saw the same even count before and after has read consistent entries. A table's content is
 * written before the count that makes it visible (release), which the reader reads first (acquire).
 */
#define _GNU_SOURCE
#include "outrider_stack.h"
#include "tables.h"

#if defined(__linux__) && defined(__x86_64__)

#include <link.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum {
    /* Modules in the directory, and tables ever created: usually a handful. */
    most_modules = 64,
    /* Total size of all tables ever created. A reloaded library gets its old one, so only new
     * builds of libraries can add to them while a process runs. */
    most_bytes = 16 << 20,
};

/* Prefixes of the file names of libraries that are built without frame pointers. */
static const char *const prefixes[] = {
    "libc.so",     "libc-2",        "ld-linux",        "ld-2",   "ld-musl",
    "libpthread",  "libstdc++.so",  "libdispatch.so",  "libgcc_s", "libBlocksRuntime.so",
    "libswiftDispatch.so",
    "libc++.so",   "libc++abi.so",  "libm.so",         "libm-2",
};

/* The libraries by start address, sorted. Ranges do not overlap. */
static struct {
    _Atomic uint32_t version; /* odd while it changes */
    _Atomic uint32_t count;
    _Atomic uintptr_t starts[most_modules];
    _Atomic(const outrider_unwind_table *) tables[most_modules];
} directory;

/* State that only the thread with the turn changes. */
static struct {
    _Atomic int32_t turn; /* the process whose thread has the turn; 0 for none */
    _Atomic size_t bytes;
    _Atomic size_t count; /* of tables; raised when the last one is complete, for a forked child */
    const outrider_unwind_table *tables[most_modules];
    /* The loader's counts when the directory was written, and whether it ever was. */
    bool looked;
    unsigned long long adds;
    unsigned long long subs;
} builder;

/* The result of one look at the loaded modules. */
typedef struct {
    size_t visited;
    unsigned long long adds;
    unsigned long long subs;
    bool counted; /* the loader reported the two counts */
    bool built;   /* a table was made */
    bool cut;     /* another one is to be built, in the next look */
    size_t count;
    uintptr_t starts[most_modules];
    const outrider_unwind_table *tables[most_modules];
} survey;

static bool is_named(const char *path) {
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    for (size_t each = 0; each < sizeof prefixes / sizeof prefixes[0]; each++)
        if (strncmp(name, prefixes[each], strlen(prefixes[each])) == 0) return true;
    return false;
}

/* Finds the parts of a loaded module. Returns whether all of them exist. */
static bool describe(const struct dl_phdr_info *info, outrider_eh_image *image) {
    *image = (outrider_eh_image){0};
    uint64_t text_end = 0;
    for (size_t each = 0; each < info->dlpi_phnum; each++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[each];
        uint64_t start = info->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_GNU_EH_FRAME) {
            image->header = start;
            image->header_size = part->p_memsz;
        } else if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
            if (text_end == 0) image->text = start;
            text_end = start + part->p_memsz;
        }
    }
    if (image->header_size == 0 || text_end <= image->text) return false;
    image->text_size = text_end - image->text;
    for (size_t each = 0; each < info->dlpi_phnum; each++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[each];
        uint64_t start = info->dlpi_addr + part->p_vaddr;
        bool readable = part->p_type == PT_LOAD && (part->p_flags & PF_R) != 0;
        if (!readable || image->header - start >= part->p_memsz) continue;
        image->bytes = (const uint8_t *)(uintptr_t)start;
        image->length = part->p_memsz;
        image->address = start;
        return true;
    }
    return false;
}

/* The table of a module: an existing one of the same build, or a new one within the limits.
 *
 * One look creates at most one table, because it blocks threads that load a library or, with older
 * C libraries, throw an exception. libc and libstdc++ take 2 ms each. */
static const outrider_unwind_table *table_of(const outrider_eh_image *image, survey *found) {
    uint64_t fingerprint = outrider_unwind_fingerprint(image);
    size_t count = atomic_load_explicit(&builder.count, memory_order_relaxed);
    for (size_t each = 0; each < count; each++) {
        const outrider_unwind_table *table = builder.tables[each];
        if (table->fingerprint == fingerprint && table->span == image->text_size) return table;
    }
    size_t bytes = atomic_load_explicit(&builder.bytes, memory_order_relaxed);
    if (count == most_modules) return NULL;
    if (found->built) {
        found->cut = true;
        return NULL;
    }
    const outrider_unwind_table *table = outrider_unwind_build(image);
    if (table == NULL) return NULL;
    if (table->bytes > most_bytes - bytes) {
        outrider_unwind_discard(table);
        return NULL;
    }
    found->built = true;
    builder.tables[count] = table;
    atomic_store_explicit(&builder.count, count + 1, memory_order_release);
    /* ORDERING: relaxed. Only a statistic; it publishes nothing. */
    atomic_store_explicit(&builder.bytes, bytes + table->bytes, memory_order_relaxed);
    return table;
}

/* Looks at one module. Returns nonzero to stop: nothing was loaded or unloaded since. */
static int visit(struct dl_phdr_info *info, size_t size, void *context) {
    survey *found = context;
    if (found->visited++ == 0 && size >= sizeof(struct dl_phdr_info)) {
        found->counted = true;
        found->adds = info->dlpi_adds;
        found->subs = info->dlpi_subs;
        if (builder.looked && builder.adds == found->adds && builder.subs == found->subs) return 1;
    }
    outrider_eh_image image;
    if (found->count == most_modules || info->dlpi_name == NULL || !is_named(info->dlpi_name) ||
        !describe(info, &image))
        return 0;
    const outrider_unwind_table *table = table_of(&image, found);
    if (table == NULL) return found->cut;
    size_t at = found->count++;
    for (; at > 0 && found->starts[at - 1] > image.text; at--) {
        found->starts[at] = found->starts[at - 1];
        found->tables[at] = found->tables[at - 1];
    }
    found->starts[at] = image.text;
    found->tables[at] = table;
    return 0;
}

/* Replaces the directory. */
static void publish(const survey *found) {
    uint32_t version = atomic_load_explicit(&directory.version, memory_order_relaxed) | 1;
    atomic_store_explicit(&directory.version, version, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (size_t each = 0; each < found->count; each++) {
        atomic_store_explicit(&directory.starts[each], found->starts[each], memory_order_relaxed);
        atomic_store_explicit(&directory.tables[each], found->tables[each], memory_order_relaxed);
    }
    atomic_store_explicit(&directory.count, (uint32_t)found->count, memory_order_relaxed);
    atomic_store_explicit(&directory.version, version + 1, memory_order_release);
    builder.adds = found->adds;
    builder.subs = found->subs;
    builder.looked = found->counted;
}

size_t outrider_stack_prepare_tables(void) {
    /* In a child that was forked while another thread had the turn, the turn is never given back:
     * take it. */
    int32_t process = getpid();
    int32_t holder = atomic_load_explicit(&builder.turn, memory_order_relaxed);
    if (holder != process &&
        atomic_compare_exchange_strong_explicit(
            &builder.turn, &holder, process, memory_order_acquire, memory_order_relaxed)) {
        survey found;
        int stopped;
        do {
            found = (survey){0};
            stopped = dl_iterate_phdr(visit, &found);
        } while (found.cut);
        if (!stopped) publish(&found);
        atomic_store_explicit(&builder.turn, 0, memory_order_release);
    }
    return atomic_load_explicit(&builder.bytes, memory_order_relaxed);
}

/* The table for a pc, and the offset of the pc in it; NULL if there is none. */
static const outrider_unwind_table *table_at(uintptr_t pc, uintptr_t *offset) {
    uint32_t version = atomic_load_explicit(&directory.version, memory_order_acquire);
    uint32_t count = atomic_load_explicit(&directory.count, memory_order_relaxed);
    if (count == 0 || count > most_modules || (version & 1) != 0) return NULL;
    uint32_t at = 0;
    for (uint32_t left = count; left > 1;) {
        uint32_t half = left / 2;
        uintptr_t start =
            atomic_load_explicit(&directory.starts[at + half], memory_order_relaxed);
        at += half & (0U - (uint32_t)(start <= pc));
        left -= half;
    }
    const outrider_unwind_table *table =
        atomic_load_explicit(&directory.tables[at], memory_order_relaxed);
    *offset = pc - atomic_load_explicit(&directory.starts[at], memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&directory.version, memory_order_relaxed) != version) return NULL;
    return *offset < table->span ? table : NULL;
}

int outrider_stack_has_table(uintptr_t pc) {
    uintptr_t offset;
    return table_at(pc, &offset) != NULL;
}

int outrider_stack_table_step(outrider_stack_point *point, outrider_stack_bounds bounds) {
    uintptr_t offset;
    /* A return address may be the first byte of the next function: the call is before it. */
    const outrider_unwind_table *table = table_at(point->pc - 1, &offset);
    if (table == NULL) return 0;
    outrider_unwind_rule rule = outrider_unwind_find(table, offset);
    if (rule.base == OUTRIDER_UNWIND_STOP) return 0;
    if (rule.base == OUTRIDER_UNWIND_OUTERMOST) return -1;

    const uintptr_t word = sizeof(uintptr_t);
    uintptr_t sp = point->sp;
    uintptr_t cfa = (rule.base == OUTRIDER_UNWIND_SP ? sp : point->fp) + rule.words * word;
    /* Memory below the stack pointer may contain anything, or be unmapped. */
    if (sp < bounds.low || cfa <= sp || cfa > bounds.high || ((cfa | sp) & (word - 1)) != 0)
        return 0;
    uintptr_t saved = rule.saved * word;
    /* A slot below the stack pointer has been popped: the value is back in its register. */
    if (saved != 0 && saved <= cfa - sp) point->fp = *(const uintptr_t *)(cfa - saved);
    point->pc = *(const uintptr_t *)(cfa - word);
    point->sp = cfa;
    return 1;
}

#else

size_t outrider_stack_prepare_tables(void) { return 0; }

int outrider_stack_has_table(uintptr_t pc) {
    (void)pc;
    return 0;
}

int outrider_stack_table_step(outrider_stack_point *point, outrider_stack_bounds bounds) {
    (void)point;
    (void)bounds;
    return 0;
}

#endif
