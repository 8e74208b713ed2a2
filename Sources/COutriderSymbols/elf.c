/* SPDX-License-Identifier: Apache-2.0
 * A reader of ELF symbol tables that does not trust its input.
 *
 * Every offset and count is checked against the file's size before it is used. Symbols are copied,
 * and names are read on demand, so that a file that changes later can at worst give wrong names.
 * Memory is mapped, not allocated, because this also runs when a profile is written at the end of a
 * process.
 */
#define _GNU_SOURCE
#include "outrider_symbols.h"

#include <string.h>

#if defined(__linux__)

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Maximum size of a file; a larger one gets no names. */
#define LARGEST_FILE ((uint64_t)4 << 30)
/* Maximum number of sections of a file, and maximum size of a section of notes. */
enum { MOST_SECTIONS = 8192, LONGEST_NOTE = 4096 };
/* Symbols in memory at a time, and bytes of a name with its terminator: one more than is
 * demangled. */
enum { SYMBOLS_AT_ONCE = 4096, NAME_ROOM = OUTRIDER_SYMBOLS_LONGEST + 2 };

typedef struct {
    uint64_t start;
    uint32_t size;
    uint32_t name; /* offset of its name in the table of names */
} function;

/* A file and its size. */
typedef struct {
    int descriptor;
    uint64_t size;
} elf_file;

/* A part of a file, copied into mapped memory; must be unmapped. */
typedef struct {
    uint8_t *bytes;
    size_t size;
} part;

static void *map_memory(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void let_go(part copied) {
    if (copied.bytes) munmap(copied.bytes, copied.size);
}

/* Copies a part of a file; empty if the file is shorter. A file that is truncated during the copy
 * leaves zeros. */
static part copy(elf_file file, uint64_t offset, uint64_t size) {
    part copied = {NULL, 0};
    if (size == 0 || offset > file.size || size > file.size - offset) return copied;
    copied.bytes = map_memory((size_t)size);
    if (!copied.bytes) return copied;
    copied.size = (size_t)size;
    for (size_t done = 0; done < size;) {
        ssize_t count =
            pread(file.descriptor, copied.bytes + done, (size_t)size - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        done += (size_t)count;
    }
    return copied;
}

static int read_section(part headers, size_t number, Elf64_Shdr *section) {
    if (number >= headers.size / sizeof *section) return 0;
    memcpy(section, headers.bytes + number * sizeof *section, sizeof *section);
    return 1;
}

/* Reads the headers of all sections; empty unless this is a 64-bit ELF file in native byte
 * order. */
static part section_headers(elf_file file) {
    Elf64_Ehdr header;
    const uint16_t one = 1;
    int order = *(const uint8_t *)&one ? ELFDATA2LSB : ELFDATA2MSB;
    if (pread(file.descriptor, &header, sizeof header, 0) != (ssize_t)sizeof header
        || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64
        || header.e_ident[EI_DATA] != order || header.e_shentsize != sizeof(Elf64_Shdr)
        || header.e_shnum > MOST_SECTIONS)
        return (part){NULL, 0};
    return copy(file, header.e_shoff, (uint64_t)header.e_shnum * sizeof(Elf64_Shdr));
}

/* Whether a note is the GNU build id, and whether it then differs from the module's. */
static int is_other_build_id(part notes, const outrider_module *module, int *is_build_id) {
    Elf64_Nhdr note;
    *is_build_id = 0;
    if (notes.size < sizeof note + 4) return 0;
    memcpy(&note, notes.bytes, sizeof note);
    if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4) return 0;
    *is_build_id = 1;
    size_t rest = notes.size - sizeof note - 4;
    return note.n_descsz > rest || note.n_descsz < module->build_id_size
        || memcmp(notes.bytes + sizeof note + 4, module->build_id, module->build_id_size) != 0;
}

/* Whether the file's build id differs from that of the loaded module; without a build id, the file
 * is assumed to be the same. */
static int is_another_file(elf_file file, part headers, const outrider_module *module) {
    Elf64_Shdr section;
    for (size_t i = 0; module->build_id_size && read_section(headers, i, &section); i++) {
        if (section.sh_type != SHT_NOTE || section.sh_size > LONGEST_NOTE) continue;
        part notes = copy(file, section.sh_offset, section.sh_size);
        int is_build_id, is_other = is_other_build_id(notes, module, &is_build_id);
        let_go(notes);
        if (is_build_id) return is_other;
    }
    return 0;
}

static int by_start(const void *left, const void *right) {
    const function *a = left, *b = right;
    if (a->start != b->start) return a->start < b->start ? -1 : 1;
    /* The larger one last, because the last one is found. */
    return (a->size > b->size) - (a->size < b->size);
}

/* Whether a symbol is a named function that is defined here. */
static int is_function(const Elf64_Sym *symbol, uint64_t names_size) {
    int type = ELF64_ST_TYPE(symbol->st_info);
    return (type == STT_FUNC || type == STT_GNU_IFUNC) && symbol->st_shndx != SHN_UNDEF
        && symbol->st_name != 0 && symbol->st_name < names_size;
}

static void keep_function(const Elf64_Sym *symbol, outrider_symbol_table *table) {
    function *functions = table->symbols;
    if (!is_function(symbol, table->names_size)) return;
    uint32_t size = symbol->st_size > UINT32_MAX ? UINT32_MAX : (uint32_t)symbol->st_size;
    functions[table->count++] = (function){symbol->st_value, size, symbol->st_name};
}

/* Builds a table of the functions among the symbols, which are read a piece at a time. */
static int collect_functions(
    elf_file file, const Elf64_Shdr *section, const Elf64_Shdr *strings, outrider_symbol_table *table) {
    size_t most = section->sh_size / sizeof(Elf64_Sym), read = 0;
    if (most == 0 || section->sh_offset > file.size || section->sh_size > file.size - section->sh_offset
        || strings->sh_offset > file.size || strings->sh_size > file.size - strings->sh_offset
        || strings->sh_size > UINT32_MAX)
        return 0;
    table->symbols_size = most * sizeof(function);
    table->symbols = map_memory(table->symbols_size);
    table->name = map_memory(NAME_ROOM);
    table->names = strings->sh_offset;
    table->names_size = strings->sh_size;
    while (table->symbols && table->name && read < most) {
        size_t count = most - read < SYMBOLS_AT_ONCE ? most - read : SYMBOLS_AT_ONCE;
        part symbols = copy(
            file, section->sh_offset + read * sizeof(Elf64_Sym), count * sizeof(Elf64_Sym));
        if (!symbols.bytes) break;
        for (size_t i = 0; i < count; i++) {
            Elf64_Sym symbol;
            memcpy(&symbol, symbols.bytes + i * sizeof symbol, sizeof symbol);
            keep_function(&symbol, table);
        }
        let_go(symbols);
        read += count;
    }
    if (read == 0) return 0;
    qsort(table->symbols, table->count, sizeof(function), by_start);
    return 1;
}

static void let_go_of_memory(outrider_symbol_table *table) {
    if (table->symbols) munmap(table->symbols, table->symbols_size);
    if (table->name) munmap(table->name, NAME_ROOM);
    table->symbols = table->name = NULL;
    table->count = 0;
}

/* Reads the first symbol table of a kind. */
static int read_kind(elf_file file, part headers, Elf64_Word kind, outrider_symbol_table *table) {
    Elf64_Shdr section, strings;
    for (size_t i = 0; read_section(headers, i, &section); i++) {
        if (section.sh_type != kind || section.sh_entsize != sizeof(Elf64_Sym)) continue;
        if (!read_section(headers, section.sh_link, &strings)) continue;
        if (collect_functions(file, &section, &strings, table)) return 1;
        let_go_of_memory(table);
    }
    return 0;
}

/* Reads the table of a file if it is the loaded one; the file then stays open. */
static int open_file(const char *path, const outrider_module *module, outrider_symbol_table *table) {
    /* Non-blocking, in case a pipe now has that name. */
    elf_file file = {open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), 0};
    if (file.descriptor < 0) return 0;
    struct stat status;
    int is_read = 0;
    if (fstat(file.descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0
        && (uint64_t)status.st_size <= LARGEST_FILE) {
        file.size = (uint64_t)status.st_size;
        part headers = section_headers(file);
        is_read = headers.bytes && !is_another_file(file, headers, module)
            && (read_kind(file, headers, SHT_SYMTAB, table)
                || read_kind(file, headers, SHT_DYNSYM, table));
        let_go(headers);
    }
    if (is_read) {
        table->descriptor = file.descriptor;
        table->device = status.st_dev;
        table->inode = status.st_ino;
    } else {
        close(file.descriptor);
    }
    return is_read;
}

/* Whether the descriptor still refers to the file: the service may have closed it and opened
 * another file. */
static int is_own_descriptor(const outrider_symbol_table *table) {
    struct stat status;
    return fstat(table->descriptor, &status) == 0 && status.st_dev == table->device
        && status.st_ino == table->inode;
}

/* Reads a name; NULL if there is none. */
static const char *read_name(const outrider_symbol_table *table, uint32_t at) {
    uint64_t room = table->names_size - at;
    if (room > NAME_ROOM - 1) room = NAME_ROOM - 1;
    ssize_t count;
    if (!is_own_descriptor(table)) return NULL;
    do {
        count = pread(table->descriptor, table->name, (size_t)room, (off_t)(table->names + at));
    } while (count < 0 && errno == EINTR);
    if (count <= 0 || table->name[0] == '\0') return NULL;
    table->name[count] = '\0';
    return table->name;
}

int outrider_symbols_open(const outrider_module *module, outrider_symbol_table *table) {
    memset(table, 0, sizeof *table);
    if (open_file(module->path, module, table)) return 1;
    /* If the file of the running program was replaced by its next version, the kernel still
     * provides the old one. */
    uintptr_t headers = getauxval(AT_PHDR);
    return headers >= module->image_start && headers < module->image_end
        && open_file("/proc/thread-self/exe", module, table);
}

void outrider_symbols_close(outrider_symbol_table *table) {
    if (table->symbols && is_own_descriptor(table)) close(table->descriptor);
    let_go_of_memory(table);
    memset(table, 0, sizeof *table);
}

const char *outrider_symbols_find(
    const outrider_symbol_table *table, uint64_t address, uint64_t *start) {
    const function *functions = table->symbols;
    size_t low = 0, high = table->count;
    /* The first function that starts after the address. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (functions[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return NULL;
    const function *found = &functions[low - 1];
    /* A function without a size, as in assembly, extends to the next one. */
    if (found->size != 0 && address - found->start >= found->size) return NULL;
    *start = found->start;
    return read_name(table, found->name);
}

#else

int outrider_symbols_open(const outrider_module *module, outrider_symbol_table *table) {
    (void)module;
    memset(table, 0, sizeof *table);
    return 0;
}

void outrider_symbols_close(outrider_symbol_table *table) { (void)table; }

const char *outrider_symbols_find(
    const outrider_symbol_table *table, uint64_t address, uint64_t *start) {
    (void)table, (void)address, (void)start;
    return NULL;
}

#endif
