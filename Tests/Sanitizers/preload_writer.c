/* SPDX-License-Identifier: Apache-2.0
 * The writer of the preloaded object, with a simulated sampler: profiles of any size and shape,
 * gzip read back by zlib, names that are not text, invalid settings, and files that cannot be
 * written.
 *
 *   preload_writer [seed]
 */
#define _GNU_SOURCE
#include "../../Sources/COutriderPreload/buffer.h"
#include "../../Sources/COutriderPreload/file.h"
#include "../../Sources/COutriderPreload/gzip.h"
#include "../../Sources/COutriderPreload/pprof.h"
#include "../../Sources/COutriderPreload/settings.h"
#include "../../Sources/COutriderPreload/text.h"
#include "check.h"

#include "outrider_heap.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { MOST_SITES = 3000, MOST_DEPTH = 128, ROUNDS = 60 };

static uint64_t seed = 1;

/* --- the simulated sampler ------------------------------------------------------------------------------ */

static uintptr_t pcs[MOST_SITES][MOST_DEPTH];
static outrider_heap_site sites[MOST_SITES];
static uint32_t site_count;

uint32_t outrider_heap_site_count(void) { return site_count; }

int outrider_heap_read_site(uint32_t number, outrider_heap_site *into) {
    if (number >= site_count || number % 97 == 96) return 0;
    *into = sites[number];
    return 1;
}

const char *outrider_heap_allocator(void) { return "\xff/an allocator"; }

void outrider_heap_read_counters(outrider_heap_counters *counters) {
    *counters = (outrider_heap_counters){.samples = UINT64_MAX};
}

void outrider_heap_update_modules(void) {}

/* An address in this program, in a library, or anywhere. */
static uintptr_t any_address(uint64_t random) {
    switch (random % 4) {
    case 0: return (uintptr_t)any_address + (random >> 8) % 5000;
    case 1: return (uintptr_t)strerror + (random >> 8) % 100000;
    case 2: return random;
    default: return (random >> 8) % 3; /* includes 0, before which there is no call */
    }
}

static void make_sites(uint64_t *state) {
    site_count = (uint32_t)(next_random(state) % MOST_SITES);
    for (uint32_t i = 0; i < site_count; i++) {
        uint64_t random = next_random(state);
        sites[i] = (outrider_heap_site){
            pcs[i], (uint32_t)(random % (MOST_DEPTH + 1)), 0, next_random(state) >> (random % 64),
            next_random(state) >> (random % 64), random, next_random(state) >> (random % 64)};
        for (uint32_t frame = 0; frame < sites[i].depth; frame++)
            pcs[i][frame] = any_address(next_random(state) >> (random % 40));
    }
}

/* --- a reader of the wire format ------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *at, *end;
} reader;

static uint64_t read_varint(reader *from) {
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        CHECK(from->at < from->end && shift < 64);
        value |= (uint64_t)(*from->at & 0x7f) << shift;
        if (*from->at++ < 0x80) return value;
    }
}

/* Reads a field; `content` is its bytes if it has a length, and empty if it is a number. */
static uint32_t read_field(reader *from, reader *content, uint64_t *number) {
    uint64_t head = read_varint(from);
    *content = (reader){from->at, from->at};
    *number = 0;
    CHECK((head & 7) == 0 || (head & 7) == 2);
    uint64_t value = read_varint(from);
    if ((head & 7) == 0) {
        *number = value;
    } else {
        CHECK(value <= (uint64_t)(from->end - from->at));
        *content = (reader){from->at, from->at + value};
        from->at += value;
    }
    return (uint32_t)(head >> 3);
}

static int is_text(const uint8_t *bytes, size_t count) {
    uint8_t *copy = malloc(count + 1);
    outrider_text_copy(copy, (const char *)bytes, count);
    int is_same = memcmp(copy, bytes, count) == 0;
    free(copy);
    return is_same;
}

/* Reads a whole profile: every object that its samples refer to must exist. */
static void check_profile(const outrider_buffer *profile, size_t samples) {
    uint64_t counts[16] = {0}, number, most_location = 0;
    reader from = {profile->bytes, profile->bytes + profile->size}, content;
    while (from.at < from.end) {
        uint32_t field = read_field(&from, &content, &number);
        CHECK(field >= 1 && field < 16);
        counts[field]++;
        if (field == 6) CHECK(is_text(content.at, (size_t)(content.end - content.at)));
        if (field != 2) continue;
        reader part;
        CHECK(read_field(&content, &part, &number) == 1);
        CHECK(part.at < part.end);
        while (part.at < part.end) {
            uint64_t location = read_varint(&part);
            if (location > most_location) most_location = location;
        }
        CHECK(read_field(&content, &part, &number) == 2);
        for (int value = 0; value < 4; value++) CHECK(read_varint(&part) <= INT64_MAX);
        CHECK(part.at == part.end && content.at == content.end);
    }
    CHECK(counts[1] == 4 && counts[2] == samples && counts[11] == 1 && counts[14] == 1);
    CHECK(counts[3] > 2 && most_location <= counts[4] && counts[6] > 8);
}

static int is_told(uint32_t i) {
    const outrider_heap_site *site = &sites[i];
    uint64_t half = (uint64_t)1 << (OUTRIDER_HEAP_OBJECT_SHIFT - 1);
    int has_objects = (site->allocated_objects <= INT64_MAX && site->allocated_objects >= half)
        || (site->live_objects <= INT64_MAX && site->live_objects >= half);
    int has_bytes = (site->allocated_bytes <= INT64_MAX && site->allocated_bytes > 0)
        || (site->live_bytes <= INT64_MAX && site->live_bytes > 0);
    return i % 97 != 96 && (has_objects || has_bytes);
}

/* --- gzip ------------------------------------------------------------------------------------------------- */

static void check_gzip(const uint8_t *bytes, size_t count) {
    outrider_buffer packed = {0};
    outrider_gzip(&packed, bytes, count);
    CHECK(!packed.is_short);
    uint8_t *back = malloc(count + 1);
    z_stream stream = {
        .next_in = packed.bytes, .avail_in = (uInt)packed.size, .next_out = back,
        .avail_out = (uInt)count + 1};
    /* 15 bits of window, with gzip's framing. */
    CHECK(inflateInit2(&stream, 15 + 16) == Z_OK && inflate(&stream, Z_FINISH) == Z_STREAM_END);
    CHECK(stream.avail_in == 0 && stream.total_out == count);
    CHECK(count == 0 || memcmp(back, bytes, count) == 0);
    inflateEnd(&stream);
    free(back);
    /* Codes have at most nine bits. */
    CHECK(packed.size <= count + count / 8 + 64);
    outrider_buffer_close(&packed);
}

static void whatever_is_packed_can_be_unpacked(void) {
    enum { LARGEST = 200000 };
    uint8_t *bytes = malloc(LARGEST);
    uint64_t state = seed;
    for (int round = 0; round < 200; round++) {
        size_t count = round < 20 ? (size_t)round : next_random(&state) % LARGEST;
        unsigned letters = 1 + (unsigned)(next_random(&state) % 256);
        size_t period = 1 + next_random(&state) % 50000;
        for (size_t i = 0; i < count; i++)
            bytes[i] = i >= period && next_random(&state) % 50 ? bytes[i - period]
                                                               : (uint8_t)(next_random(&state) % letters);
        check_gzip(bytes, count);
    }
    free(bytes);
}

/* --- profiles --------------------------------------------------------------------------------------------- */

static void profiles_hold_together(void) {
    uint64_t state = seed;
    for (int round = 0; round < ROUNDS; round++) {
        if (round) make_sites(&state);
        size_t told = 0;
        for (uint32_t i = 0; i < site_count; i++) told += (size_t)is_told(i);
        outrider_buffer profile = {0};
        outrider_pprof_write(&profile, (outrider_pprof_options){1, 0, round % 2});
        CHECK(!profile.is_short);
        check_profile(&profile, told);
        if (round % 10 == 0) check_gzip(profile.bytes, profile.size);
        outrider_buffer_close(&profile);
    }
}

/* --- text, settings, files -------------------------------------------------------------------------------- */

static void bytes_become_text(void) {
    static const char *const pairs[][2] = {
        {"plain", "plain"}, {"\xc3\xa9", "\xc3\xa9"}, {"\xe2\x82\xac", "\xe2\x82\xac"},
        {"\xf0\x9f\x8c\xb2", "\xf0\x9f\x8c\xb2"}, {"\xff", "?"}, {"\xc3", "?"}, {"a\xe2\x82", "a??"},
        {"\xc0\x80", "??"}, {"\xed\xa0\x80", "???"}, {"\xf4\x90\x80\x80", "????"}, {"\x80z", "?z"},
        {"\xe0\x80\x80", "???"}, {"\xf0\x80\x80\x80", "????"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        size_t length = strlen(pairs[i][0]);
        uint8_t into[8] = {0};
        outrider_text_copy(into, pairs[i][0], length);
        CHECK(strcmp((char *)into, pairs[i][1]) == 0);
    }
}

static void settings_are_read(void) {
    uint64_t bytes = 7;
    static const char *const bad[] = {"", "0", "-1", "1k", " 1", "18446744073709551616", "0x10"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(!outrider_settings_interval(bad[i], &bytes));
    CHECK(bytes == 7 && outrider_settings_interval("18446744073709551615", &bytes) && bytes == UINT64_MAX);
    CHECK(outrider_settings_is_pattern("a%p%%") && !outrider_settings_is_pattern("a%"));
    CHECK(!outrider_settings_is_pattern("%s") && !outrider_settings_is_pattern(""));
    CHECK(outrider_settings_names_process("%%%p") && !outrider_settings_names_process("%%p"));
    char path[16];
    CHECK(outrider_settings_expand("%p-%%p", 120, path, sizeof path) && strcmp(path, "120-%p") == 0);
    for (size_t capacity = 1; capacity <= 8; capacity++) {
        char *exact = malloc(capacity);
        CHECK(outrider_settings_expand("ab%pcd", 120, exact, capacity) == (capacity == 8));
        free(exact);
    }
}

static void files_are_whole_or_not_there(void) {
    char folder[] = "/tmp/outrider-XXXXXX", path[64], link[64];
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(link, sizeof link, "%s/link", folder);
    for (size_t count = 0; count < 100000; count = count * 5 + 1) {
        struct stat status;
        uint8_t *bytes = calloc(1, count + 1);
        CHECK(outrider_file_replace(path, bytes, count) == NULL && stat(path, &status) == 0);
        CHECK((size_t)status.st_size == count && (status.st_mode & 07777) == 0600);
        free(bytes);
    }
    CHECK(symlink("/nowhere", link) == 0);
    CHECK(outrider_file_replace(link, "x", 1) && outrider_file_replace(folder, "x", 1));
    CHECK(outrider_file_replace("/nowhere/file", "x", 1) && errno == ENOENT);
    static char endless[2 * OUTRIDER_PATH_SIZE];
    memset(endless, 'x', sizeof endless - 1);
    CHECK(outrider_file_replace(endless, "x", 1) && errno == ENAMETOOLONG);
    CHECK(unlink(path) == 0 && unlink(link) == 0 && rmdir(folder) == 0);
}

int main(int count, char **arguments) {
    if (count > 1) seed = strtoull(arguments[1], NULL, 10);
    if (seed == 0) seed = 1;
    bytes_become_text();
    settings_are_read();
    files_are_whole_or_not_there();
    whatever_is_packed_can_be_unpacked();
    profiles_hold_together();
    printf("preload_writer: %lu checks with seed %llu\n", checks, (unsigned long long)seed);
}
