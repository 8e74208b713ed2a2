/* SPDX-License-Identifier: Apache-2.0
 * Writes profile.proto (github.com/google/pprof, proto/profile.proto), without allocating.
 *
 * Addresses are sorted, so those of a library and of a function lie together: one symbol table is open at
 * a time, and a function is written when the first of its addresses is. Strings are numbered as they are
 * written; functions have different names, so nothing is gained by looking for equal ones.
 */
#define _GNU_SOURCE
#include "profile.h"

#include "outrider_heap.h"
#include "outrider_symbols.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* Libraries that are named at most, and the longest name of a function. */
enum { MOST_MODULES = 1024, LONGEST_NAME = 2048 };

/* Strings of every profile, by their numbers. */
enum {
    NOTHING, ALLOC_OBJECTS, COUNT, ALLOC_SPACE, BYTES, INUSE_OBJECTS, INUSE_SPACE, SPACE, UNKNOWN,
    FIRST_OWN,
};
static const char *const common[FIRST_OWN] = {
    "", "alloc_objects", "count", "alloc_space", "bytes", "inuse_objects", "inuse_space", "space",
    "[unknown stack]",
};

typedef struct {
    buffer *out;
    buffer part; /* a message on its way into `out` */
    uint64_t strings;
    uintptr_t *addresses; /* sorted, each once */
    size_t address_count;
    outrider_module *modules;
    size_t module_count;
} writer;

static void *map_memory(size_t size) {
    void *memory = mmap(
        NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* Ends the message that is in `part`. */
static void add_part(writer *to, unsigned field) {
    wire_bytes(to->out, field, to->part.bytes, to->part.count);
    to->out->has_failed |= to->part.has_failed;
    to->part.count = 0;
}

static uint64_t add_string(writer *to, const char *text) {
    wire_bytes(to->out, 6, text, strlen(text));
    return to->strings++;
}

static void add_value_type(writer *to, unsigned field, uint64_t type, uint64_t unit) {
    wire_number(&to->part, 1, type);
    wire_number(&to->part, 2, unit);
    add_part(to, field);
}

static int by_address(const void *left, const void *right) {
    uintptr_t a = *(const uintptr_t *)left, b = *(const uintptr_t *)right;
    return (a > b) - (a < b);
}

static bool collect_addresses(writer *to, uint32_t sites) {
    size_t count = 0;
    outrider_heap_site site;
    for (uint32_t i = 0; i < sites; i++)
        if (outrider_heap_read_site(i, &site)) count += site.depth;
    to->addresses = map_memory((count + 1) * sizeof(uintptr_t));
    if (!to->addresses) return false;
    size_t filled = 0;
    for (uint32_t i = 0; i < sites; i++) {
        if (!outrider_heap_read_site(i, &site)) continue;
        for (uint32_t j = 0; j < site.depth && filled < count; j++)
            to->addresses[filled++] = site.pcs[j];
    }
    qsort(to->addresses, filled, sizeof(uintptr_t), by_address);
    for (size_t i = 0; i < filled; i++)
        if (to->address_count == 0 || to->addresses[to->address_count - 1] != to->addresses[i])
            to->addresses[to->address_count++] = to->addresses[i];
    return true;
}

/* The number of an address' location; one past all others for a stack that nobody knows. */
static uint64_t location_of(const writer *to, uintptr_t address) {
    const uintptr_t *found =
        bsearch(&address, to->addresses, to->address_count, sizeof address, by_address);
    return found ? (uint64_t)(found - to->addresses) + 1 : to->address_count + 1;
}

static uint64_t rounded(uint64_t objects) {
    int64_t count = (int64_t)objects < 0 ? 0 : (int64_t)objects;
    return ((uint64_t)count + (1u << (OUTRIDER_HEAP_OBJECT_SHIFT - 1))) >> OUTRIDER_HEAP_OBJECT_SHIFT;
}

static void add_sample(writer *to, const outrider_heap_site *site) {
    buffer ids = {0};
    if (site->depth == 0) wire_varint(&ids, to->address_count + 1);
    for (uint32_t i = 0; i < site->depth; i++) wire_varint(&ids, location_of(to, site->pcs[i]));
    wire_bytes(&to->part, 1, ids.bytes, ids.count);
    ids.count = 0;
    const uint64_t values[] = {
        rounded(site->allocated_objects), site->allocated_bytes, rounded(site->live_objects),
        (int64_t)site->live_bytes < 0 ? 0 : site->live_bytes,
    };
    for (int i = 0; i < 4; i++) wire_varint(&ids, values[i]);
    wire_bytes(&to->part, 2, ids.bytes, ids.count);
    to->part.has_failed |= ids.has_failed;
    buffer_free(&ids);
    add_part(to, 2);
}

static void add_mapping(writer *to, size_t number, bool has_functions) {
    static const char digits[] = "0123456789abcdef";
    const outrider_module *module = &to->modules[number];
    char id[2 * OUTRIDER_MODULE_BUILD_ID + 1] = "";
    for (uint32_t i = 0; i < module->build_id_size; i++) {
        id[2 * i] = digits[module->build_id[i] >> 4];
        id[2 * i + 1] = digits[module->build_id[i] & 15];
    }
    uint64_t path = add_string(to, module->path), build_id = add_string(to, id);
    wire_number(&to->part, 1, number + 1);
    wire_number(&to->part, 2, module->start);
    wire_number(&to->part, 3, module->end);
    wire_number(&to->part, 4, module->file_offset);
    wire_number(&to->part, 5, path);
    wire_number(&to->part, 6, build_id);
    wire_number(&to->part, 7, has_functions);
    add_part(to, 3);
}

static void add_function(writer *to, uint64_t id, const char *name) {
    char readable[LONGEST_NAME];
    uint64_t mangled = add_string(to, name), best = mangled;
    if (outrider_symbols_demangle(name, readable, sizeof readable)) best = add_string(to, readable);
    wire_number(&to->part, 1, id);
    wire_number(&to->part, 2, best);
    wire_number(&to->part, 3, mangled);
    add_part(to, 5);
}

static void add_location(
    writer *to, uint64_t id, uint64_t mapping, uintptr_t address, uint64_t function) {
    buffer line = {0};
    wire_number(&to->part, 1, id);
    wire_number(&to->part, 2, mapping);
    wire_number(&to->part, 3, address);
    if (function) {
        wire_number(&line, 1, function);
        wire_bytes(&to->part, 4, line.bytes, line.count);
        buffer_free(&line);
    }
    add_part(to, 4);
}

/* Writes the locations of one module, which are those from `first` on, and returns the first behind. */
static size_t add_locations(writer *to, size_t number, size_t first, uint64_t *functions) {
    const outrider_module *module = &to->modules[number];
    outrider_symbol_table table;
    bool is_open = outrider_symbols_open(module, &table), is_named = false;
    uint64_t known = 0, last_start = 0;
    size_t at = first;
    for (; at < to->address_count && to->addresses[at] - 1 < module->end; at++) {
        /* Of the call, which is before the address that it returns to. */
        uintptr_t call = to->addresses[at] - 1;
        uint64_t start, function = 0;
        const char *name =
            is_open ? outrider_symbols_find(&table, call - module->bias, &start) : NULL;
        if (name && (!known || start != last_start)) {
            known = ++*functions;
            last_start = start;
            add_function(to, known, name);
        }
        if (name) function = known;
        is_named |= name != NULL;
        add_location(to, at + 1, number + 1, call, function);
    }
    if (is_open) outrider_symbols_close(&table);
    if (number != 0) add_mapping(to, number, is_named);
    return at;
}

/* The module that an address lies in, or else the next one behind it; `module_count` if there is none. */
static size_t module_from(const writer *to, uintptr_t call) {
    size_t best = to->module_count;
    for (size_t i = 0; i < to->module_count; i++) {
        if (to->modules[i].end <= call) continue;
        if (best == to->module_count || to->modules[i].start < to->modules[best].start) best = i;
    }
    return best;
}

static void add_places(writer *to) {
    uint64_t functions = 0;
    /* Readers take the first mapping for the program, also if it has no address. */
    outrider_symbol_table table;
    if (to->module_count > 0) {
        bool is_named = outrider_symbols_open(&to->modules[0], &table);
        if (is_named) outrider_symbols_close(&table);
        add_mapping(to, 0, is_named);
    }
    for (size_t at = 0; at < to->address_count;) {
        uintptr_t call = to->addresses[at] - 1;
        size_t number = module_from(to, call);
        if (number == to->module_count || call < to->modules[number].start) {
            add_location(to, at + 1, 0, call, 0);
            at++;
            continue;
        }
        at = add_locations(to, number, at, &functions);
    }
    uint64_t unknown = ++functions;
    wire_number(&to->part, 1, unknown);
    wire_number(&to->part, 2, UNKNOWN);
    wire_number(&to->part, 3, UNKNOWN);
    add_part(to, 5);
    add_location(to, to->address_count + 1, 0, 0, unknown);
}

static void add_everything(writer *to, uint32_t sites, uint64_t period) {
    for (int i = 0; i < FIRST_OWN; i++) add_string(to, common[i]);
    add_value_type(to, 1, ALLOC_OBJECTS, COUNT);
    add_value_type(to, 1, ALLOC_SPACE, BYTES);
    add_value_type(to, 1, INUSE_OBJECTS, COUNT);
    add_value_type(to, 1, INUSE_SPACE, BYTES);
    outrider_heap_site site;
    for (uint32_t i = 0; i < sites; i++)
        if (outrider_heap_read_site(i, &site) && site.allocated_bytes + site.live_bytes != 0)
            add_sample(to, &site);
    add_places(to);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    wire_number(to->out, 9, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
    add_value_type(to, 11, SPACE, BYTES);
    wire_number(to->out, 12, period);
    wire_number(to->out, 14, INUSE_SPACE);
}

void outrider_preload_write_profile(buffer *into, uint64_t period) {
    writer to = {.out = into};
    uint32_t sites = outrider_heap_site_count();
    size_t modules_size = MOST_MODULES * sizeof(outrider_module);
    to.modules = map_memory(modules_size);
    if (to.modules && collect_addresses(&to, sites)) {
        size_t count = outrider_modules_list(to.modules, MOST_MODULES);
        to.module_count = count < MOST_MODULES ? count : MOST_MODULES;
        add_everything(&to, sites, period);
    } else {
        into->has_failed = true;
    }
    buffer_free(&to.part);
    if (to.modules) munmap(to.modules, modules_size);
    /* The room of all addresses is not known any more; the process ends soon, or writes few profiles. */
}
