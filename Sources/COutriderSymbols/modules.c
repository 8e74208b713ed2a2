/* SPDX-License-Identifier: Apache-2.0
 * Lists the loaded modules, as reported by the loader.
 */
#define _GNU_SOURCE
#include "outrider_symbols.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#if defined(__linux__)

#include <elf.h>
#include <link.h>
#include <unistd.h>

/* Notes are padded to four bytes (System V ABI, "Note Section"). */
static size_t padded(size_t size) { return (size + 3) & ~(size_t)3; }

/* Finds the GNU build id in a segment of notes. */
static void read_build_id(const uint8_t *notes, size_t size, outrider_module *module) {
    size_t at = 0;
    while (size - at >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        memcpy(&note, notes + at, sizeof note);
        at += sizeof note;
        size_t rest = size - at;
        if (note.n_namesz > rest || note.n_descsz > rest) return;
        size_t name = padded(note.n_namesz), content = padded(note.n_descsz);
        if (name > rest || content > rest - name) return;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4
            && memcmp(notes + at, "GNU", 4) == 0) {
            size_t count = note.n_descsz < sizeof module->build_id ? note.n_descsz
                                                                   : sizeof module->build_id;
            memcpy(module->build_id, notes + at + name, count);
            module->build_id_size = (uint32_t)count;
            return;
        }
        at += name + content;
    }
}

/* The program's path, without the suffix that the kernel adds if the file was renamed or deleted
 * (proc(5)). Read once, because later the process may have confined itself. */
static void read_program_path(char path[OUTRIDER_MODULE_PATH]) {
    enum { UNREAD, READING, READ };
    static const char added[] = " (deleted)";
    static char known[OUTRIDER_MODULE_PATH];
    static _Atomic(int) progress;
    /* ORDERING: acquire pairs with the release below. */
    if (atomic_load_explicit(&progress, memory_order_acquire) == READ) {
        memcpy(path, known, sizeof known);
        return;
    }
    ssize_t read = readlink("/proc/thread-self/exe", path, sizeof known - 1);
    size_t length = read > 0 ? (size_t)read : 0, end = sizeof added - 1;
    if (length > end && memcmp(path + length - end, added, end) == 0) length -= end;
    path[length] = '\0';
    int unread = UNREAD;
    if (length == 0 || !atomic_compare_exchange_strong(&progress, &unread, READING)) return;
    memcpy(known, path, length + 1);
    atomic_store_explicit(&progress, READ, memory_order_release);
}

typedef struct {
    outrider_module *into;
    size_t capacity;
    size_t count;
} listing;

/* Fills in the fields shared by all executable segments of an object. */
static void describe(const struct dl_phdr_info *info, bool is_program, outrider_module *module) {
    memset(module, 0, sizeof *module);
    module->bias = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_LOAD) {
            if (module->image_end == 0 || start < module->image_start) module->image_start = start;
            if (start + header->p_memsz > module->image_end)
                module->image_end = start + header->p_memsz;
        } else if (header->p_type == PT_NOTE && module->build_id_size == 0) {
            read_build_id((const uint8_t *)start, header->p_memsz, module);
        }
    }
    if (info->dlpi_name[0] != '\0')
        strncpy(module->path, info->dlpi_name, sizeof module->path - 1);
    else if (is_program)
        read_program_path(module->path);
}

/* Lists each executable segment of an object: linker scripts and BOLT create several (elf(5),
 * PT_LOAD). */
static int add_object(struct dl_phdr_info *info, size_t size, void *argument) {
    (void)size;
    listing *list = argument;
    outrider_module object;
    /* The loader lists the program first, without a name. */
    bool is_program = list->count == 0, is_described = false;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_LOAD || !(header->p_flags & PF_X) || header->p_memsz == 0) continue;
        if (list->count < list->capacity) {
            if (!is_described) describe(info, is_program, &object);
            is_described = true;
            object.start = info->dlpi_addr + header->p_vaddr;
            object.end = object.start + header->p_memsz;
            object.file_offset = header->p_offset;
            list->into[list->count] = object;
        }
        list->count++;
    }
    return 0;
}

size_t outrider_modules_list(outrider_module *into, size_t capacity) {
    listing list = {into, capacity, 0};
    dl_iterate_phdr(add_object, &list);
    return list.count;
}

static int read_generation(struct dl_phdr_info *info, size_t size, void *argument) {
    (void)size;
    *(uint64_t *)argument = (uint64_t)info->dlpi_adds << 32 ^ (uint64_t)info->dlpi_subs;
    return 1;
}

uint64_t outrider_modules_generation(void) {
    uint64_t generation = 0;
    dl_iterate_phdr(read_generation, &generation);
    return generation;
}

#else

size_t outrider_modules_list(outrider_module *into, size_t capacity) {
    (void)into, (void)capacity;
    return 0;
}

uint64_t outrider_modules_generation(void) { return 0; }

#endif
