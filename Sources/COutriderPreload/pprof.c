/* SPDX-License-Identifier: Apache-2.0
 * Writes profile.proto (github.com/google/pprof, proto/profile.proto), with symbol names.
 *
 * The sites are copied first, so that allocations of the demanglers are not part of the profile.
 * Then every address gets a number and, module by module, its name; finally the samples are
 * written. Messages may appear in any order, so they go directly to the output; strings are
 * collected separately.
 */
#define _GNU_SOURCE
#include "pprof.h"

#include "numbering.h"
#include "outrider_heap.h"
#include "outrider_symbols.h"
#include "text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Field numbers of Profile and of its messages. */
enum {
    SAMPLE_TYPE = 1,
    SAMPLE = 2,
    MAPPING = 3,
    LOCATION = 4,
    FUNCTION = 5,
    STRING = 6,
    TIME = 9,
    DURATION = 10,
    PERIOD_TYPE = 11,
    PERIOD = 12,
    COMMENT = 13,
    DEFAULT_SAMPLE_TYPE = 14,
};
enum { VALUES = 4, LONGEST_READABLE = 16384 };
/* Libraries that may be loaded between counting and listing them. */
enum { MODULES_MORE = 16 };

typedef struct {
    const uintptr_t *pcs;
    uint32_t depth;
    uint64_t values[VALUES];
} sample;

/* An address in a stack; numbers start from one, and 0 means none. */
typedef struct {
    uintptr_t pc;
    uint32_t module;
    uint32_t function;
} location;

typedef struct {
    outrider_buffer *output;
    outrider_buffer strings, samples, locations, modules, message, part;
    outrider_numbering addresses, functions;
    uint64_t string_count;
    bool may_demangle, has_unknown;
    char readable[LONGEST_READABLE];
} writer;

/* --- pieces ----------------------------------------------------------------------------------- */

/* Adds a string to the table and returns its index. */
static uint64_t add_string(writer *to, const char *text) {
    size_t length = strlen(text);
    outrider_wire_varint(&to->strings, STRING << 3 | 2);
    outrider_wire_varint(&to->strings, length);
    uint8_t *added = outrider_buffer_extend(&to->strings, length);
    if (added) outrider_text_copy(added, text, length);
    return to->string_count++;
}

static void add_value_type(writer *to, uint32_t field, const char *type, const char *unit) {
    outrider_wire_number(&to->message, 1, add_string(to, type));
    outrider_wire_number(&to->message, 2, add_string(to, unit));
    outrider_wire_message(to->output, field, &to->message);
}

static void add_function(writer *to, uint32_t number, const char *name) {
    uint64_t system_name = add_string(to, name), readable = system_name;
    if (to->may_demangle && outrider_symbols_demangle(name, to->readable, sizeof to->readable) > 0)
        readable = add_string(to, to->readable);
    outrider_wire_number(&to->message, 1, number);
    outrider_wire_number(&to->message, 2, readable);
    outrider_wire_number(&to->message, 3, system_name);
    outrider_wire_message(to->output, FUNCTION, &to->message);
}

/* --- sites and their addresses ---------------------------------------------------------------- */

static uint64_t rounded(uint64_t objects) {
    return (objects + ((uint64_t)1 << (OUTRIDER_HEAP_OBJECT_SHIFT - 1)))
        >> OUTRIDER_HEAP_OBJECT_SHIFT;
}

/* Totals are read while other threads change them; a negative one is only temporary. */
static uint64_t not_negative(uint64_t sum) { return sum > INT64_MAX ? 0 : sum; }

/* Copies the sites with nonzero totals; returns the total number of their addresses. */
static size_t copy_samples(writer *to) {
    size_t words = 0;
    uint32_t count = outrider_heap_site_count();
    for (uint32_t number = 0; number < count; number++) {
        outrider_heap_site site;
        if (!outrider_heap_read_site(number, &site)) continue;
        sample copied = {
            site.pcs,
            site.depth,
            {rounded(not_negative(site.allocated_objects)), not_negative(site.allocated_bytes),
             rounded(not_negative(site.live_objects)), not_negative(site.live_bytes)}};
        if (!(copied.values[0] | copied.values[1] | copied.values[2] | copied.values[3])) continue;
        outrider_buffer_add(&to->samples, &copied, sizeof copied);
        words += site.depth;
    }
    return words;
}

static void number_addresses(writer *to) {
    const sample *samples = (const sample *)to->samples.bytes;
    for (size_t i = 0; i < to->samples.size / sizeof *samples; i++) {
        for (uint32_t frame = 0; frame < samples[i].depth; frame++) {
            bool is_new;
            outrider_numbering_find(&to->addresses, samples[i].pcs[frame], &is_new);
            if (is_new)
                outrider_buffer_add(
                    &to->locations, &(location){samples[i].pcs[frame], 0, 0}, sizeof(location));
        }
    }
}

/* --- modules and names ------------------------------------------------------------------------ */

static void add_mapping(writer *to, const outrider_module *module, uint32_t number, bool has_names) {
    static const char digits[] = "0123456789abcdef";
    char build_id[2 * OUTRIDER_MODULE_BUILD_ID + 1];
    for (uint32_t i = 0; i < module->build_id_size; i++) {
        build_id[2 * i] = digits[module->build_id[i] >> 4];
        build_id[2 * i + 1] = digits[module->build_id[i] & 15];
    }
    build_id[2 * module->build_id_size] = '\0';
    outrider_wire_number(&to->message, 1, number);
    outrider_wire_number(&to->message, 2, module->start);
    outrider_wire_number(&to->message, 3, module->end);
    outrider_wire_number(&to->message, 4, module->file_offset);
    outrider_wire_number(&to->message, 5, add_string(to, module->path));
    if (build_id[0] != '\0') outrider_wire_number(&to->message, 6, add_string(to, build_id));
    outrider_wire_number(&to->message, 7, has_names);
    outrider_wire_message(to->output, MAPPING, &to->message);
}

/* Names the function at an address of a module; returns 0 if there is none. */
static uint32_t name_function(
    writer *to, const outrider_module *module, const outrider_symbol_table *table, uintptr_t address) {
    uint64_t start;
    const char *name = outrider_symbols_find(table, address - module->bias, &start);
    if (!name) return 0;
    bool is_new;
    uint32_t number = outrider_numbering_find(&to->functions, start + module->bias, &is_new);
    if (is_new) add_function(to, number, name);
    return number;
}

/* Finds the addresses in an executable segment, and their function names. */
static void name_locations(writer *to, const outrider_module *module, uint32_t number) {
    location *locations = (location *)to->locations.bytes;
    outrider_symbol_table table;
    bool is_opened = false, has_table = false, has_names = false;
    for (size_t i = 0; i < to->locations.size / sizeof *locations; i++) {
        /* The call is before its return address. */
        uintptr_t address = locations[i].pc - 1;
        if (address < module->start || address >= module->end || locations[i].module) continue;
        locations[i].module = number;
        if (!is_opened) has_table = outrider_symbols_open(module, &table);
        is_opened = true;
        if (has_table) locations[i].function = name_function(to, module, &table, address);
        has_names |= locations[i].function != 0;
    }
    if (has_table) outrider_symbols_close(&table);
    add_mapping(to, module, number, has_names);
}

/* Adds loaded and unloaded modules. */
static void add_modules(writer *to) {
    size_t former = outrider_modules_unloaded(NULL, 0);
    size_t room = outrider_modules_list(NULL, 0) + MODULES_MORE + former;
    outrider_module *modules = outrider_buffer_extend(&to->modules, room * sizeof *modules);
    if (!modules) return;
    size_t count = outrider_modules_list(modules, room - former);
    if (count > room - former) count = room - former;
    size_t gone = outrider_modules_unloaded(modules + count, former);
    count += gone < former ? gone : former;
    for (size_t i = 0; i < count; i++) name_locations(to, &modules[i], (uint32_t)i + 1);
}

/* --- the profile ------------------------------------------------------------------------------ */

static void add_location(writer *to, uint64_t number, const location *at) {
    outrider_wire_number(&to->message, 1, number);
    outrider_wire_number(&to->message, 2, at->module);
    if (at->pc) outrider_wire_number(&to->message, 3, at->pc - 1);
    if (at->function) {
        outrider_wire_number(&to->part, 1, at->function);
        outrider_wire_message(&to->message, 4, &to->part);
    }
    outrider_wire_message(to->output, LOCATION, &to->message);
}

static void add_samples(writer *to) {
    const sample *samples = (const sample *)to->samples.bytes;
    uint64_t unknown = to->addresses.count + (uint64_t)1;
    for (size_t i = 0; i < to->samples.size / sizeof *samples; i++) {
        for (uint32_t frame = 0; frame < samples[i].depth; frame++) {
            bool is_new;
            outrider_wire_varint(
                &to->part, outrider_numbering_find(&to->addresses, samples[i].pcs[frame], &is_new));
        }
        if (samples[i].depth == 0) {
            outrider_wire_varint(&to->part, unknown);
            to->has_unknown = true;
        }
        outrider_wire_message(&to->message, 1, &to->part);
        for (int value = 0; value < VALUES; value++)
            outrider_wire_varint(&to->part, samples[i].values[value]);
        outrider_wire_message(&to->message, 2, &to->part);
        outrider_wire_message(to->output, SAMPLE, &to->message);
    }
}

static void add_locations(writer *to) {
    const location *locations = (const location *)to->locations.bytes;
    for (size_t i = 0; i < to->locations.size / sizeof *locations; i++)
        add_location(to, i + 1, &locations[i]);
    if (!to->has_unknown) return;
    location unknown = {0, 0, to->functions.count + 1};
    add_function(to, unknown.function, "[unknown stack]");
    add_location(to, to->addresses.count + (uint64_t)1, &unknown);
}

/* Adds the counts of lost samples, and the name of the next allocator. */
static void add_comments(writer *to) {
    outrider_heap_counters counters;
    char text[512];
    outrider_heap_read_counters(&counters);
    snprintf(text, sizeof text, "allocator: %s", outrider_heap_allocator());
    outrider_wire_number(to->output, COMMENT, add_string(to, text));
    snprintf(
        text, sizeof text,
        "samples: %llu, live: %llu, live refused: %llu, stacks refused: %llu, frees missed: %llu, "
        "stacks truncated: %llu",
        (unsigned long long)counters.samples, (unsigned long long)counters.live_samples,
        (unsigned long long)counters.refused_live, (unsigned long long)counters.refused_sites,
        (unsigned long long)counters.missed_frees, (unsigned long long)counters.truncated_stacks);
    outrider_wire_number(to->output, COMMENT, add_string(to, text));
}

static void add_head(writer *to, outrider_pprof_options options) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t time = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    add_string(to, "");
    add_value_type(to, SAMPLE_TYPE, "alloc_objects", "count");
    add_value_type(to, SAMPLE_TYPE, "alloc_space", "bytes");
    add_value_type(to, SAMPLE_TYPE, "inuse_objects", "count");
    add_value_type(to, SAMPLE_TYPE, "inuse_space", "bytes");
    add_value_type(to, PERIOD_TYPE, "space", "bytes");
    outrider_wire_number(to->output, PERIOD, options.interval);
    outrider_wire_number(to->output, TIME, (uint64_t)time);
    if (time > options.start_ns)
        outrider_wire_number(to->output, DURATION, (uint64_t)(time - options.start_ns));
    outrider_wire_number(to->output, DEFAULT_SAMPLE_TYPE, add_string(to, "inuse_space"));
}

void outrider_pprof_write(outrider_buffer *output, outrider_pprof_options options) {
    outrider_buffer memory = {0};
    writer *to = outrider_buffer_extend(&memory, sizeof *to);
    if (!to) {
        output->is_short = true;
        return;
    }
    to->output = output;
    to->may_demangle = options.may_demangle;
    outrider_heap_update_modules();
    size_t words = copy_samples(to);
    add_head(to, options);
    add_comments(to);
    if (outrider_numbering_prepare(&to->addresses, words)) number_addresses(to);
    if (outrider_numbering_prepare(&to->functions, to->addresses.count)) add_modules(to);
    if (!to->addresses.entries.is_short) add_samples(to);
    add_locations(to);
    outrider_buffer_add(output, to->strings.bytes, to->strings.size);

    outrider_buffer *used[] = {&to->strings, &to->samples, &to->locations, &to->modules, &to->message,
                               &to->part, &to->addresses.entries, &to->functions.entries};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) {
        output->is_short |= used[i]->is_short;
        outrider_buffer_close(used[i]);
    }
    outrider_buffer_close(&memory);
}
