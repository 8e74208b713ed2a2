/* SPDX-License-Identifier: Apache-2.0
 * The tables of the libraries without frame pointers: walks that start in libc's callbacks, beside those of
 * libgcc's unwinder, and unwind information that is spoiled in every way.
 *
 *   unwind [seed]
 */
#define _GNU_SOURCE
#include "../../Sources/COutriderStack/eh_frame.h"
#include "check.h"
#include "outrider_stack.h"

#include <dirent.h>
#include <link.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

enum { FRAMES = 256, SPOILED = 3000 };

static uint64_t seed = 1;

/* --- walks ----------------------------------------------------------------------------------------- */

static struct {
    uintptr_t pcs[FRAMES];
    size_t count;
} theirs;
static unsigned walks;

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *context, void *unused) {
    (void)unused;
    if (theirs.count == FRAMES) return _URC_END_OF_STACK;
    theirs.pcs[theirs.count++] = _Unwind_GetIP(context);
    return _URC_NO_REASON;
}

/* Walks from the caller of the function that is running, both ways. */
__attribute__((noinline)) static void compare(void) {
    uintptr_t *frame = __builtin_frame_address(0);
    outrider_stack_point from = {frame[1], (uintptr_t)frame + 16, frame[0]};
    uintptr_t pcs[OUTRIDER_STACK_DEPTH];
    outrider_stack_end end;
    outrider_stack_bounds bounds = outrider_stack_find_bounds(from.sp);
    CHECK(bounds.low < from.sp && from.sp < bounds.high);
    size_t ours = outrider_stack_walk(from, bounds, pcs, OUTRIDER_STACK_DEPTH, &end);
    theirs.count = 0;
    _Unwind_Backtrace(add_frame, NULL);
    size_t first = 0;
    while (first < theirs.count && theirs.pcs[first] != from.pc) first++;
    CHECK(first < theirs.count);
    /* libgcc counts the outermost place, which has no caller, or not. */
    size_t rest = theirs.count - first, same = ours < rest ? ours : rest;
    CHECK(ours + 1 >= rest && rest + 1 >= ours);
    CHECK(memcmp(pcs, theirs.pcs + first, same * sizeof *pcs) == 0);
    CHECK(end == OUTRIDER_STACK_WHOLE);
    walks++;
}

static int compare_numbers(const void *left, const void *right) {
    if (walks % 7 == 0 || walks < 20) compare();
    else walks++;
    return *(const int *)left - *(const int *)right;
}

static int choose(const struct dirent *entry) {
    compare();
    return entry->d_name[0] != '.';
}

static ssize_t write_cookie(void *unused, const char *bytes, size_t size) {
    (void)unused, (void)bytes;
    compare();
    return (ssize_t)size;
}

static int visit_library(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)info, (void)size, (void)unused;
    compare();
    return 0;
}

static void walks_out_of_libc_find_what_an_unwinder_finds(void) {
    CHECK(outrider_stack_prepare_tables() > 100000);
    int numbers[200];
    for (int i = 0; i < 200; i++) numbers[i] = (int)(next_random(&seed) % 1000);
    qsort(numbers, 200, sizeof *numbers, compare_numbers);
    bsearch(&numbers[7], numbers, 200, sizeof *numbers, compare_numbers);
    struct dirent **names;
    int count = scandir("/", &names, choose, alphasort);
    while (count-- > 0) free(names[count]);
    free(names);
    FILE *file = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_cookie});
    CHECK(file);
    /* Not by a function that the sanitizer wraps in one of its own, without a frame. */
    setvbuf(file, NULL, _IONBF, 0);
    for (int i = 0; i < 50; i++) putc('x', file);
    fclose(file);
    dl_iterate_phdr(visit_library, NULL);
    CHECK(walks > 100);
}

/* --- spoiled information --------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *start, *header;
    size_t size;
    uintptr_t base;
} library_part;

static int find_libc(struct dl_phdr_info *info, size_t size, void *argument) {
    (void)size;
    library_part *found = argument;
    if (!strstr(info->dlpi_name, "/libc.so")) return 0;
    found->base = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME)
            found->header = (const uint8_t *)info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        const uint8_t *place = (const uint8_t *)info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_LOAD && found->header >= place
            && found->header < place + header->p_memsz) {
            found->start = place;
            found->size = header->p_memsz;
        }
    }
    return 1;
}

/* A copy lies where an access outside of it is seen by the sanitizer. Pointers count from where they are, so
 * they lead where they did, from the copy. */
static void spoiled_information_is_read_within_its_memory(void) {
    library_part libc = {0};
    dl_iterate_phdr(find_libc, &libc);
    CHECK(libc.start && libc.header);
    /* The header's table is read to its end: a short one is enough. */
    enum { CAPACITY = 200000 };
    unwind_row *rows = malloc(CAPACITY * sizeof *rows);
    uint8_t *copy = malloc(libc.size);
    size_t header = (size_t)(libc.header - libc.start), good;
    unwind_memory memory = {copy, copy + libc.size};
    memcpy(copy, libc.start, libc.size);
    uintptr_t base = libc.base + (uintptr_t)copy - (uintptr_t)libc.start;
    good = outrider_stack_read_eh_frame(memory, copy + header, base, rows, CAPACITY);
    CHECK(good > 10000 && good < CAPACITY);
    for (size_t i = 1; i < good; i++) CHECK(rows[i - 1].place < rows[i].place);
    for (int round = 0; round < SPOILED; round++) {
        /* In what the table lists first: the list is cut to 64 functions, so that a round is short. */
        memcpy(copy + header, libc.header, libc.size - header);
        uint32_t functions = 64;
        memcpy(copy + header + 8, &functions, sizeof functions);
        size_t frames = header + 12 + (size_t)next_random(&seed) % 2000;
        if (frames < libc.size) spoil(copy + header, frames - header, &seed);
        size_t behind = header + 12 + 8 * outrider_stack_eh_frame_functions(
            (unwind_memory){libc.start, libc.start + libc.size}, libc.header);
        size_t from = behind < libc.size ? behind : header;
        spoil(copy + from, libc.size - from < 8000 ? libc.size - from : 8000, &seed);
        outrider_stack_read_eh_frame(memory, copy + header, base, rows, 1000);
        checks++;
    }
    free(copy);
    free(rows);
}

int main(int argc, char **argv) {
    if (argc > 1) seed = strtoull(argv[1], NULL, 10) | 1;
    walks_out_of_libc_find_what_an_unwinder_finds();
    spoiled_information_is_read_within_its_memory();
    printf("unwind: %lu checks passed, %u walks\n", checks, walks);
    return 0;
}
