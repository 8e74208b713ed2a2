/* SPDX-License-Identifier: Apache-2.0
 * Names for addresses of this process: the loaded and unloaded modules, the symbol tables of their
 * files, and the demanglers that the process already has.
 *
 * dladdr(3) sees only exported functions and names all others after the nearest of those. So the
 * files are read: .symtab, or .dynsym if they are stripped. For exports only: these functions take
 * the loader's lock, read files and map memory, so no hook or signal handler may call them.
 * Thread-safe.
 */
#ifndef OUTRIDER_SYMBOLS_H
#define OUTRIDER_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Maximum sizes of the path and the build id; longer ones are cut. */
#define OUTRIDER_MODULE_PATH 1024
#define OUTRIDER_MODULE_BUILD_ID 32

/* An executable segment of the program or of a library, as loaded. A file may have several; they
 * share all fields that describe the file. */
typedef struct {
    uintptr_t bias;        /* added to addresses in the file */
    uintptr_t start;       /* the executable segment in memory */
    uintptr_t end;         /* just past it */
    uintptr_t image_start; /* all segments of the file in memory */
    uintptr_t image_end;
    uint64_t file_offset;  /* where the executable segment starts in the file */
    uint32_t build_id_size;
    uint8_t build_id[OUTRIDER_MODULE_BUILD_ID];
    char path[OUTRIDER_MODULE_PATH];
} outrider_module;

/* Lists at most `capacity` executable segments of loaded modules, the program's first; returns how
 * many there are. */
size_t outrider_modules_list(outrider_module *into, size_t capacity);
/* A number that changes whenever a module is loaded or unloaded. Cheap. */
uint64_t outrider_modules_generation(void);

/* Unloaded libraries.
 *
 * A library may be loaded where another one was unloaded, so a stored address does not identify a
 * function over time. Stored addresses are therefore moved: an unloaded library gets a range above
 * OUTRIDER_MODULES_FORMER, where nothing is ever loaded, and each holder of addresses moves those
 * of the library there. A library that is loaded and unloaded repeatedly gets the same range each
 * time. */
#define OUTRIDER_MODULES_FORMER ((uintptr_t)1 << 63)

/* Maximum number of unloaded segments kept. Beyond that the oldest is dropped, and its addresses
 * have no names. */
#define OUTRIDER_MODULES_FORMER_LIMIT 256

/* Moves stored addresses in [start, end) by `to` - start. Called by one thread at a time. */
typedef void outrider_modules_move(uintptr_t start, uintptr_t end, uintptr_t to);

/* Compares the loaded modules with those of the previous look, and calls `move` for each library
 * that is gone.
 *
 * Call it before and after a library is unloaded. Under a microsecond unless something was loaded
 * or unloaded. Takes the loader's lock, maps memory and makes no other system call, never calls
 * malloc, and keeps errno. If another thread is already looking, it waits some milliseconds and
 * then returns without looking; the next look catches up. Thread-safe. */
void outrider_modules_update(outrider_modules_move *move);
/* To be called before a fork, and after it in parent and child. A child whose parent had no other
 * thread can look; in other children, looks do nothing. */
void outrider_modules_before_fork(void);
void outrider_modules_after_fork(int is_child);
/* Lists at most `capacity` unloaded segments, at the ranges they were moved to; returns how many
 * there are. */
size_t outrider_modules_unloaded(outrider_module *into, size_t capacity);
/* Number of libraries moved so far. Cheap. */
uint64_t outrider_modules_moves(void);
/* Moves addresses that were read after `since` moves to their current ranges. */
void outrider_modules_follow(uintptr_t *addresses, size_t count, uint64_t since);

/* The functions of a file, sorted, without their names, which take tens of megabytes in a large
 * program. Must be closed. */
typedef struct {
    void *symbols;
    size_t symbols_size; /* in bytes, as mapped */
    size_t count;
    int descriptor; /* of the file; names are read from it on demand */
    uint64_t device, inode;
    uint64_t names, names_size; /* where they lie in the file */
    char *name; /* the last one found */
} outrider_symbol_table;

/* Reads the symbol table of a module's file. Returns 0 if it is unavailable: the file is missing,
 * differs from the loaded one (by its build id), is not ELF for this machine, or is over 4 GiB. */
int outrider_symbols_open(const outrider_module *module, outrider_symbol_table *table);
void outrider_symbols_close(outrider_symbol_table *table);

/* Finds the function that contains an address of the file (the address in memory minus the bias).
 *
 * Returns its mangled name, valid until the next call or until the table is closed, and its start;
 * NULL if there is none. A name is cut after OUTRIDER_SYMBOLS_LONGEST + 1 bytes. */
const char *outrider_symbols_find(
    const outrider_symbol_table *table, uint64_t address, uint64_t *start);

/* Longest mangled name that is demangled, in bytes, and the stack that this may take (1.2 MiB
 * measured). */
#define OUTRIDER_SYMBOLS_LONGEST 8192
#define OUTRIDER_SYMBOLS_STACK ((size_t)4 << 20)

/* Writes the demangled form of a Swift or C++ name, cut to the capacity, and returns its length.
 *
 * Returns 0 if it is not such a name, if the process has no demangler for it, if it is longer than
 * OUTRIDER_SYMBOLS_LONGEST, or if its back-references could expand it beyond a megabyte or so.
 * Needs OUTRIDER_SYMBOLS_STACK of stack: demanglers recurse once per part of the name. */
size_t outrider_symbols_demangle(const char *name, char *into, size_t capacity);

#ifdef __cplusplus
}
#endif
#endif
