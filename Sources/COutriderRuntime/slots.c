/* SPDX-License-Identifier: Apache-2.0
 * Finds and replaces function pointers in the global offset tables of loaded files.
 *
 * Source: the ELF gABI, "Dynamic Section" and "Relocation"; dl_iterate_phdr(3).
 */
#define _GNU_SOURCE
#include "slots.h"

#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
#define CALL_RELOCATION R_X86_64_JUMP_SLOT
#define DATA_RELOCATION R_X86_64_GLOB_DAT
#elif defined(__aarch64__)
#define CALL_RELOCATION R_AARCH64_JUMP_SLOT
#define DATA_RELOCATION R_AARCH64_GLOB_DAT
#endif

typedef struct {
    void **slot;
    void *value;
    int is_written;
} writing;

/* Two threads at once could protect a page that the other is about to write. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

/* Whether the slot is in this file and the loader has made it read-only. */
static int is_read_only(const struct dl_phdr_info *file, uintptr_t address) {
    for (int part = 0; part < file->dlpi_phnum; part++) {
        const ElfW(Phdr) *header = &file->dlpi_phdr[part];
        uintptr_t start = file->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_GNU_RELRO && address >= start && address - start < header->p_memsz) {
            return 1;
        }
    }
    return 0;
}

static int is_inside(const struct dl_phdr_info *file, uintptr_t address) {
    for (int part = 0; part < file->dlpi_phnum; part++) {
        const ElfW(Phdr) *header = &file->dlpi_phdr[part];
        uintptr_t start = file->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_LOAD && address >= start && address - start < header->p_memsz) {
            return 1;
        }
    }
    return 0;
}

static int write_in(const struct dl_phdr_info *file, void **slot, void *value) {
    if (__atomic_load_n(slot, __ATOMIC_ACQUIRE) == value) return 1;
    int was_read_only = is_read_only(file, (uintptr_t)slot);
    uintptr_t size = (uintptr_t)sysconf(_SC_PAGESIZE);
    void *page = (void *)((uintptr_t)slot & ~(size - 1));
    if (was_read_only && mprotect(page, size, PROT_READ | PROT_WRITE) != 0) return 0;
    __atomic_store_n(slot, value, __ATOMIC_RELEASE);
    if (was_read_only) mprotect(page, size, PROT_READ);
    return 1;
}

static int write_where_it_lies(struct dl_phdr_info *file, size_t size, void *argument) {
    (void)size;
    writing *request = argument;
    if (!is_inside(file, (uintptr_t)request->slot)) return 0;
    request->is_written = write_in(file, request->slot, request->value);
    return 1;
}

int slots_write(void **slot, void *value) {
    writing request = {slot, value, 0};
    pthread_mutex_lock(&turn);
    dl_iterate_phdr(write_where_it_lies, &request);
    pthread_mutex_unlock(&turn);
    return request.is_written;
}

#ifdef CALL_RELOCATION

typedef struct {
    const char *name;
    void *function;
    size_t count;
    slots_look *last;
    int is_known;
} replacement;

typedef struct {
    const ElfW(Sym) *symbols;
    const char *names;
    uintptr_t relocations[2];
    size_t sizes[2];
} tables;

static tables tables_of(const struct dl_phdr_info *file, const ElfW(Dyn) *entry) {
    tables found;
    memset(&found, 0, sizeof found);
    for (; entry->d_tag != DT_NULL; entry++) {
        uintptr_t value = entry->d_un.d_ptr;
        /* glibc has turned the values into addresses, musl has not. */
        uintptr_t address = value < file->dlpi_addr ? file->dlpi_addr + value : value;
        switch (entry->d_tag) {
            case DT_SYMTAB: found.symbols = (const ElfW(Sym) *)address; break;
            case DT_STRTAB: found.names = (const char *)address; break;
            case DT_JMPREL: found.relocations[0] = address; break;
            case DT_PLTRELSZ: found.sizes[0] = value; break;
            case DT_RELA: found.relocations[1] = address; break;
            case DT_RELASZ: found.sizes[1] = value; break;
            default: break;
        }
    }
    return found;
}

static int note_files(struct dl_phdr_info *file, size_t size, void *argument) {
    (void)size;
    *(unsigned long long *)argument = file->dlpi_adds;
    return 1;
}

static int replace_in(struct dl_phdr_info *file, size_t size, void *argument) {
    (void)size;
    replacement *request = argument;
    if (file->dlpi_adds == request->last->files) {
        request->is_known = 1;
        return 1;
    }
    const ElfW(Dyn) *dynamic = NULL;
    for (int part = 0; part < file->dlpi_phnum; part++) {
        if (file->dlpi_phdr[part].p_type == PT_DYNAMIC) {
            dynamic = (const ElfW(Dyn) *)(file->dlpi_addr + file->dlpi_phdr[part].p_vaddr);
        }
    }
    /* The kernel's vDSO has no relocations, and its values are not addresses. */
    if (!dynamic || strncmp(file->dlpi_name, "linux-vdso", 10) == 0) return 0;
    tables found = tables_of(file, dynamic);
    if (!found.symbols || !found.names) return 0;
    for (int table = 0; table < 2; table++) {
        const ElfW(Rela) *relocations = (const ElfW(Rela) *)found.relocations[table];
        size_t count = relocations ? found.sizes[table] / sizeof *relocations : 0;
        for (size_t index = 0; index < count; index++) {
            uint32_t type = ELF64_R_TYPE(relocations[index].r_info);
            if (type != CALL_RELOCATION && type != DATA_RELOCATION) continue;
            const ElfW(Sym) *symbol = &found.symbols[ELF64_R_SYM(relocations[index].r_info)];
            if (strcmp(found.names + symbol->st_name, request->name) != 0) continue;
            void **slot = (void **)(file->dlpi_addr + relocations[index].r_offset);
            request->count += (size_t)write_in(file, slot, request->function);
        }
    }
    return 0;
}

size_t slots_replace_calls(const char *name, void *function, slots_look *last) {
    pthread_mutex_lock(&turn);
    replacement request = {name, function, 0, last, 0};
    /* First, so that a file loaded in between is processed the next time. */
    unsigned long long files = last->files;
    dl_iterate_phdr(note_files, &files);
    dl_iterate_phdr(replace_in, &request);
    if (!request.is_known) *last = (slots_look){files, request.count};
    size_t count = last->count;
    pthread_mutex_unlock(&turn);
    return count;
}

#else

size_t slots_replace_calls(const char *name, void *function, slots_look *last) {
    (void)name;
    (void)function;
    (void)last;
    return 0;
}

#endif
