/* SPDX-License-Identifier: Apache-2.0
 * A reader of ELF symbol tables that trusts nothing it reads.
 *
 * Every offset and count is checked against the file's size before it is used. What is kept is copied out,
 * so that a file that changes later changes nothing; its memory is mapped, not allocated, since this
 * also runs where a profile is written at the end of somebody's process.
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

/* No library's file is larger; one that is has no names. */
#define LARGEST_FILE ((uint64_t)4 << 30)
/* Sections that a file may have, and bytes of a section of notes. */
enum { MOST_SECTIONS = 8192, LONGEST_NOTE = 4096 };

typedef struct {
    uint64_t start;
    uint32_t size;
    uint32_t name; /* where its name begins in the table of names */
} function;

/* A file, and how much of it there is. */
typedef struct {
    int descriptor;
    uint64_t size;
} elf_file;

/* A part of a file, copied into memory of its own; to be let go of. */
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

/* Copies a part of a file and `spare` zeros behind it; empty if it is not all there. A file that is cut
 * short meanwhile leaves zeros, which name nothing. */
static part copy(elf_file file, uint64_t offset, uint64_t size, size_t spare) {
    part copied = {NULL, 0};
    if (size == 0 || offset > file.size || size > file.size - offset) return copied;
    copied.bytes = map_memory((size_t)size + spare);
    if (!copied.bytes) return copied;
    copied.size = (size_t)size + spare;
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

/* The headers of all sections; empty if this is no ELF file of 64 bits in this machine's order. */
static part section_headers(elf_file file) {
    Elf64_Ehdr header;
    const uint16_t one = 1;
    int order = *(const uint8_t *)&one ? ELFDATA2LSB : ELFDATA2MSB;
    if (pread(file.descriptor, &header, sizeof header, 0) != (ssize_t)sizeof header
        || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64
        || header.e_ident[EI_DATA] != order || header.e_shentsize != sizeof(Elf64_Shdr)
        || header.e_shnum > MOST_SECTIONS)
        return (part){NULL, 0};
    return copy(file, header.e_shoff, (uint64_t)header.e_shnum * sizeof(Elf64_Shdr), 0);
}

/* Whether a note is the GNU build id, and then whether it is another than this one. */
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

/* Whether the file has another build id than what is loaded; without one nobody knows, and it is taken
 * for the same. */
static int is_another_file(elf_file file, part headers, const outrider_module *module) {
    Elf64_Shdr section;
    for (size_t i = 0; module->build_id_size && read_section(headers, i, &section); i++) {
        if (section.sh_type != SHT_NOTE || section.sh_size > LONGEST_NOTE) continue;
        part notes = copy(file, section.sh_offset, section.sh_size, 0);
        int is_build_id, is_other = is_other_build_id(notes, module, &is_build_id);
        let_go(notes);
        if (is_build_id) return is_other;
    }
    return 0;
}

static int by_start(const void *left, const void *right) {
    const function *a = left, *b = right;
    if (a->start != b->start) return a->start < b->start ? -1 : 1;
    /* The larger one last: that is the one which is found. */
    return (a->size > b->size) - (a->size < b->size);
}

/* Whether a symbol is a function that is defined here and has a name. */
static int is_function(const Elf64_Sym *symbol, part names) {
    int type = ELF64_ST_TYPE(symbol->st_info);
    return (type == STT_FUNC || type == STT_GNU_IFUNC) && symbol->st_shndx != SHN_UNDEF
        && symbol->st_name < names.size && names.bytes[symbol->st_name] != '\0';
}

/* Makes a table of the functions among the symbols; it takes the names. */
static int collect_functions(part symbols, part names, outrider_symbol_table *table) {
    size_t most = symbols.size / sizeof(Elf64_Sym);
    if (most == 0 || !names.bytes || names.size > UINT32_MAX) return 0;
    function *functions = map_memory(most * sizeof *functions);
    if (!functions) return 0;
    *table = (outrider_symbol_table){
        functions, most * sizeof *functions, 0, (char *)names.bytes, names.size};
    for (size_t i = 0; i < most; i++) {
        Elf64_Sym symbol;
        memcpy(&symbol, symbols.bytes + i * sizeof symbol, sizeof symbol);
        if (!is_function(&symbol, names)) continue;
        uint32_t size = symbol.st_size > UINT32_MAX ? UINT32_MAX : (uint32_t)symbol.st_size;
        functions[table->count++] = (function){symbol.st_value, size, symbol.st_name};
    }
    qsort(functions, table->count, sizeof *functions, by_start);
    return 1;
}

/* Reads the first symbol table of a kind. */
static int read_kind(elf_file file, part headers, Elf64_Word kind, outrider_symbol_table *table) {
    Elf64_Shdr section, strings;
    for (size_t i = 0; read_section(headers, i, &section); i++) {
        if (section.sh_type != kind || section.sh_entsize != sizeof(Elf64_Sym)) continue;
        if (!read_section(headers, section.sh_link, &strings)) continue;
        part symbols = copy(file, section.sh_offset, section.sh_size, 0);
        /* A zero more, so that the last name ends whatever the file says. */
        part names = copy(file, strings.sh_offset, strings.sh_size, 1);
        int is_read = collect_functions(symbols, names, table);
        let_go(symbols);
        if (is_read) return 1;
        let_go(names);
    }
    return 0;
}

/* Reads the table of a file if it is the one that is loaded. */
static int open_file(const char *path, const outrider_module *module, outrider_symbol_table *table) {
    /* Not to wait, should there be a pipe of that name by now. */
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
    close(file.descriptor);
    return is_read;
}

int outrider_symbols_open(const outrider_module *module, outrider_symbol_table *table) {
    memset(table, 0, sizeof *table);
    if (open_file(module->path, module, table)) return 1;
    /* A program whose file was replaced while it runs, by its next version, is still to be had from the kernel. */
    uintptr_t headers = getauxval(AT_PHDR);
    return headers >= module->image_start && headers < module->image_end
        && open_file("/proc/thread-self/exe", module, table);
}

void outrider_symbols_close(outrider_symbol_table *table) {
    if (table->symbols) munmap(table->symbols, table->symbols_size);
    if (table->names) munmap(table->names, table->names_size);
    memset(table, 0, sizeof *table);
}

const char *outrider_symbols_find(
    const outrider_symbol_table *table, uint64_t address, uint64_t *start) {
    const function *functions = table->symbols;
    size_t low = 0, high = table->count;
    /* The first that starts behind the address. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (functions[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return NULL;
    const function *found = &functions[low - 1];
    /* One without a size, as assembly leaves it, goes on to the next. */
    if (found->size != 0 && address - found->start >= found->size) return NULL;
    *start = found->start;
    return table->names + found->name;
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
