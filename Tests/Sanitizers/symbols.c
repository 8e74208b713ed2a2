/* SPDX-License-Identifier: Apache-2.0
 * Symbol tables: this program's own, and thousands of corrupted or truncated ones.
 *
 *   symbols [seed]
 */
#define _GNU_SOURCE
#include "check.h"
#include "COutriderSymbols/expansion.h"
#include "outrider_symbols.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SPOILED = 2000, HEAD = 64 };

static uint64_t seed = 1;

__attribute__((noinline)) static int a_function_without_export(int number) {
    return number * 3 + (int)seed;
}

__attribute__((noinline, section(".text_apart"))) static int in_a_segment_of_its_own(int number) {
    return number * 5 + (int)seed;
}

static void functions_are_found_by_their_addresses(const outrider_module *program) {
    outrider_symbol_table table;
    CHECK(outrider_symbols_open(program, &table));
    uint64_t start = 0, address = (uintptr_t)a_function_without_export - program->bias;
    const char *name = outrider_symbols_find(&table, address + 1, &start);
    CHECK(name && strcmp(name, "a_function_without_export") == 0 && start == address);
    CHECK(!outrider_symbols_find(&table, 0, &start));
    outrider_symbols_close(&table);
    CHECK(table.count == 0 && !table.symbols);
}

static void another_file_in_its_place_names_nothing(outrider_module program) {
    outrider_symbol_table table;
    program.build_id[0] ^= 1;
    CHECK(program.build_id_size > 0 && !outrider_symbols_open(&program, &table));
    strcpy(program.path, "/nowhere");
    CHECK(!outrider_symbols_open(&program, &table));
    strcpy(program.path, "/");
    CHECK(!outrider_symbols_open(&program, &table));
}

static void every_executable_segment_is_listed(const outrider_module *modules, size_t count) {
    for (size_t i = 0; i < count; i++) {
        CHECK(modules[i].start < modules[i].end && modules[i].image_start <= modules[i].start);
        CHECK(modules[i].end <= modules[i].image_end);
    }
    /* scripts/sanitize.sh links this program with a separate segment for this function. */
    uintptr_t here = (uintptr_t)in_a_segment_of_its_own;
    size_t of_this_program = 0;
    bool is_listed = false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(modules[i].path, modules[0].path) != 0) continue;
        of_this_program++;
        is_listed |= here >= modules[i].start && here < modules[i].end;
    }
    CHECK(of_this_program == 2 && is_listed);
}

static uintptr_t moved_start, moved_end, moved_to;
static int moved_times;

static void note_move(uintptr_t start, uintptr_t end, uintptr_t to) {
    moved_start = start, moved_end = end, moved_to = to;
    moved_times++;
}

/* A library of glibc that no program links. */
static const char unused[] = "libBrokenLocale.so.1";

static uintptr_t load_and_unload(void) {
    void *library = dlopen(unused, RTLD_NOW);
    CHECK(library);
    struct link_map *map;
    CHECK(dlinfo(library, RTLD_DI_LINKMAP, &map) == 0);
    uintptr_t bias = map->l_addr;
    outrider_modules_update(note_move);
    CHECK(dlclose(library) == 0);
    outrider_modules_update(note_move);
    return bias;
}

static void an_unloaded_library_has_a_range_of_its_own(void) {
    outrider_module former[OUTRIDER_MODULES_FORMER_LIMIT];
    outrider_modules_update(note_move);
    CHECK(moved_times == 0 && outrider_modules_moves() == 0 && outrider_modules_unloaded(former, 4) == 0);
    uint64_t before = outrider_modules_moves();
    uintptr_t bias = load_and_unload(), first = moved_to;
    CHECK(moved_times == 1 && outrider_modules_moves() == 1 && moved_to >= OUTRIDER_MODULES_FORMER);
    CHECK(outrider_modules_unloaded(former, OUTRIDER_MODULES_FORMER_LIMIT) == 1);
    CHECK(strstr(former[0].path, unused) && former[0].image_start == moved_to);
    CHECK(former[0].bias - moved_to == bias - moved_start);
    /* Addresses recorded before are translated: those of the first and the last call in it, and not
     * their neighbours. */
    uintptr_t addresses[] = {moved_start, moved_start + 1, moved_end, moved_end + 1, 0};
    outrider_modules_follow(addresses, 5, outrider_modules_moves());
    CHECK(addresses[1] == moved_start + 1);
    outrider_modules_follow(addresses, 5, before);
    CHECK(addresses[0] == moved_start && addresses[1] == moved_to + 1 && addresses[4] == 0);
    CHECK(addresses[2] == moved_to + (moved_end - moved_start) && addresses[3] == moved_end + 1);
    /* Its names are found as before. */
    outrider_symbol_table table;
    CHECK(outrider_symbols_open(&former[0], &table));
    outrider_symbols_close(&table);
    /* Reloading it yields the same range. */
    for (int round = 0; round < 1000; round++) load_and_unload();
    CHECK(moved_times == 1001 && moved_to == first);
    CHECK(outrider_modules_unloaded(former, OUTRIDER_MODULES_FORMER_LIMIT) == 1);
}

static void put(int file, const uint8_t *bytes, size_t size) {
    CHECK(ftruncate(file, 0) == 0 && pwrite(file, bytes, size, 0) == (ssize_t)size);
}

static void spoiled_files_name_something_or_nothing(const outrider_module *program) {
    int own = open(program->path, O_RDONLY), file = memfd_create("spoiled", 0);
    off_t size = lseek(own, 0, SEEK_END);
    uint8_t *good = malloc((size_t)size), *bad = malloc((size_t)size);
    CHECK(file >= 0 && pread(own, good, (size_t)size, 0) == size);
    uint64_t sections;
    memcpy(&sections, good + 40, sizeof sections);
    outrider_module module = *program;
    snprintf(module.path, sizeof module.path, "/proc/self/fd/%d", file);
    unsigned opened = 0;
    for (int round = 0; round < SPOILED; round++) {
        memcpy(bad, good, (size_t)size);
        spoil(bad + 4, HEAD - 4, &seed);
        if (round % 4) memcpy(bad, good, HEAD);
        spoil(bad + sections, (size_t)size - sections, &seed);
        size_t length = round % 5 ? (size_t)size : (size_t)(next_random(&seed) % (uint64_t)size) + 1;
        put(file, bad, length);
        module.build_id_size = round % 3 ? 0 : program->build_id_size;
        outrider_symbol_table table;
        if (outrider_symbols_open(&module, &table)) {
            opened++;
            for (int i = 0; i < 50; i++) {
                uint64_t start;
                const char *name =
                    outrider_symbols_find(&table, next_random(&seed) % 0x400000, &start);
                /* The name ends within the string table. */
                CHECK(!name || strlen(name) <= table.names_size);
            }
            outrider_symbols_close(&table);
        }
        checks++;
    }
    CHECK(opened > SPOILED / 20);
    free(good);
    free(bad);
    close(own);
    close(file);
}

static void names_are_cut_to_their_room(void) {
    char room[8];
    CHECK(outrider_symbols_demangle("plain", room, sizeof room) == 0);
    CHECK(outrider_symbols_demangle("_Z", room, 0) == 0);
    char longest[20000];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    memcpy(longest, "_Z", 2);
    CHECK(outrider_symbols_demangle(longest, room, sizeof room) == 0);
    /* Without a C++ runtime in this program the name is not demangled; with one it is truncated. */
    CHECK(outrider_symbols_demangle("_ZN4shop5orderEi", room, sizeof room) < sizeof room);
}

static int stays_short(const char *name, int is_swift) {
    return outrider_expands_within(name, strlen(name), is_swift, 1 << 20);
}

static void names_that_double_themselves_are_known(void) {
    static const char *const cxx[] = {
        "_ZNSt3mapINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEES5_St4lessIS5_ESaISt4pairIKS5_S5_EEEixEOS5_",
        "_ZN5S_Z_43fooEv", "_ZN1AcvT_IiEEv", "_Z1fIiEvT_S0_S1_"};
    static const char *const swift[] = {
        "$s4Shop5OrderV5total_2in33_0123456789ABCDEF0123456789ABCDEFLLSiAC_AA8CurrencyOtFZ",
        "$sSDyq_Sgxcig", "$s4main3AaAV3AbBV3AcCV1fyyF"};
    for (size_t i = 0; i < sizeof cxx / sizeof *cxx; i++) CHECK(stays_short(cxx[i], 0));
    for (size_t i = 0; i < sizeof swift / sizeof *swift; i++) CHECK(stays_short(swift[i], 1));
    char name[4096] = "_Z1fI4Both";
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (int i = 0; i < 30; i++) strcat(name, "IS0_");
    strcat(name, "Iii");
    for (int i = 1; i <= 30; i++) snprintf(name + strlen(name), 8, "ES%c_", digits[i]);
    CHECK(!stays_short(name, 0));
    strcpy(name, "$s1a4BothV1fyyACy");
    for (int i = 0; i < 23; i++) strcat(name, "ACy");
    strcat(name, "S2i");
    for (int i = 0; i < 23; i++) snprintf(name + strlen(name), 8, "GA%c", 'D' + i > 'Z' ? 'Z' : 'D' + i);
    CHECK(!stays_short(name, 1));
    /* A substitution repeated a billion times, a reference beyond all substitutions, and a
     * truncated form of each. */
    CHECK(!stays_short("$s1a4BothVA999999999999999999B", 1));
    CHECK(stays_short("_ZSZZZZZZZZZZZZZZ_", 0) && stays_short("$sA99999999999999999999_", 1));
    CHECK(stays_short("_ZS", 0) && stays_short("_ZT1", 0) && stays_short("$sA", 1) && stays_short("$s9", 1));
}

/* Only the sanitizers judge here. */
static void any_letters_are_a_name(void) {
    static const char letters[] = "ASTZIEcvyGFg_0123456789aBn";
    char name[256], readable[256];
    for (int round = 0; round < 20000; round++) {
        size_t length = next_random(&seed) % (sizeof name - 1);
        for (size_t i = 0; i < length; i++) name[i] = letters[next_random(&seed) % (sizeof letters - 1)];
        memcpy(name, round % 2 ? "_Z" : "$s", 2);
        name[length < 2 ? 2 : length] = '\0';
        stays_short(name, round % 2 == 0);
        CHECK(outrider_symbols_demangle(name, readable, sizeof readable) < sizeof readable);
    }
}

int main(int argc, char **argv) {
    if (argc > 1) seed = strtoull(argv[1], NULL, 10) | 1;
    CHECK(a_function_without_export(1) == (int)seed + 3);
    outrider_module modules[32];
    size_t count = outrider_modules_list(modules, 32);
    CHECK(count > 1 && modules[0].path[0] == '/' && strstr(modules[0].path, "symbols"));
    uint64_t generation = outrider_modules_generation();
    CHECK(generation == outrider_modules_generation());
    CHECK(in_a_segment_of_its_own(1) == (int)seed + 5);
    every_executable_segment_is_listed(modules, count < 32 ? count : 32);
    functions_are_found_by_their_addresses(&modules[0]);
    an_unloaded_library_has_a_range_of_its_own();
    another_file_in_its_place_names_nothing(modules[0]);
    spoiled_files_name_something_or_nothing(&modules[0]);
    names_are_cut_to_their_room();
    names_that_double_themselves_are_known();
    any_letters_are_a_name();
    printf("symbols: %lu checks passed\n", checks);
    return 0;
}
