/* SPDX-License-Identifier: Apache-2.0
 * Names for addresses of this process: what is or was loaded where, the symbol tables of those files, and the
 * demanglers that the process has anyway.
 *
 * dladdr(3) sees exported functions only, and names everything else after the nearest of those. So
 * the files are read: .symtab, or .dynsym where they are stripped. For export alone: it takes the loader's
 * lock, reads files and maps memory, so no hook and no signal handler may call it. Thread-safe.
 */
#ifndef OUTRIDER_SYMBOLS_H
#define OUTRIDER_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Longest path and build id that are kept; longer ones are cut. */
#define OUTRIDER_MODULE_PATH 1024
#define OUTRIDER_MODULE_BUILD_ID 32

/* An executable segment of the program or of a library, as it is loaded. A file may have several, which then
 * differ in the segment alone. */
typedef struct {
    uintptr_t bias;        /* what is added to the addresses of its file */
    uintptr_t start;       /* the executable segment in memory */
    uintptr_t end;         /* just past it */
    uintptr_t image_start; /* all segments of the file in memory */
    uintptr_t image_end;
    uint64_t file_offset;  /* where the executable segment begins in the file */
    uint32_t build_id_size;
    uint8_t build_id[OUTRIDER_MODULE_BUILD_ID];
    char path[OUTRIDER_MODULE_PATH];
} outrider_module;

/* Lists the executable segments of what is loaded, the program's first, `capacity` at most; returns how many there are. */
size_t outrider_modules_list(outrider_module *into, size_t capacity);
/* A number that changes whenever something was loaded or unloaded; cheap. */
uint64_t outrider_modules_generation(void);

/* Unloaded libraries.
 *
 * Another library may be loaded where one was unloaded, so an address that is kept does not identify a function
 * over time. Therefore kept addresses move: an unloaded library gets a range above OUTRIDER_MODULES_FORMER, where
 * nothing is ever loaded, and whoever keeps addresses moves those of the library there. A library that is loaded
 * and unloaded again and again has the same range each time. */
#define OUTRIDER_MODULES_FORMER ((uintptr_t)1 << 63)

/* Unloaded segments that are remembered. Past that the oldest is forgotten: its addresses have no names. */
#define OUTRIDER_MODULES_FORMER_LIMIT 256

/* Moves kept addresses of [start, end) by `to` - start. Called by one thread at a time. */
typedef void outrider_modules_move(uintptr_t start, uintptr_t end, uintptr_t to);

/* Compares what is loaded with the look before, and calls `move` for each library that is gone.
 *
 * To be called before and after a library is unloaded. Under a microsecond unless something was loaded or
 * unloaded. Takes the loader's lock, maps memory and makes no other system call, never calls malloc, and keeps
 * errno. While another thread looks, it waits some milliseconds and then does nothing: the next look does.
 * Thread-safe. */
void outrider_modules_look(outrider_modules_move *move);
/* Before a fork, and after it on both sides. A child whose parent had no other thread may look; in other children
 * looks do nothing. */
void outrider_modules_before_fork(void);
void outrider_modules_after_fork(int is_child);
/* Lists the unloaded segments, where they were moved to, `capacity` at most; returns how many there are. */
size_t outrider_modules_former(outrider_module *into, size_t capacity);
/* How many libraries were moved so far; cheap. */
uint64_t outrider_modules_moves(void);
/* Moves addresses that were read when there had been `since` moves to where they are now. */
void outrider_modules_follow(uintptr_t *addresses, size_t count, uint64_t since);

/* The functions of a file, sorted, without their names, of which a large program has tens of megabytes; to be closed. */
typedef struct {
    void *symbols;
    size_t symbols_size; /* in bytes, as mapped */
    size_t count;
    int descriptor; /* of the file, whose names are read when they are asked for */
    uint64_t device, inode;
    uint64_t names, names_size; /* where they lie in it */
    char *name; /* the last one that was found */
} outrider_symbol_table;

/* Reads the symbol table of a module's file. 0 if there is none to be had: no file, another file than the
 * one that is loaded (by its build id), not ELF of this machine's kind, or over 4 GiB. */
int outrider_symbols_open(const outrider_module *module, outrider_symbol_table *table);
void outrider_symbols_close(outrider_symbol_table *table);

/* The function that contains an address of the file (the address in memory less the bias).
 *
 * Returns its mangled name, valid until the next call or until the table is closed, and where it starts; NULL if there
 * is none. A name is cut after OUTRIDER_SYMBOLS_LONGEST + 1 bytes. */
const char *outrider_symbols_find(
    const outrider_symbol_table *table, uint64_t address, uint64_t *start);

/* Longest mangled name that is demangled, in bytes, and stack that this may take: 1.2 MiB were measured. */
#define OUTRIDER_SYMBOLS_LONGEST 8192
#define OUTRIDER_SYMBOLS_STACK ((size_t)4 << 20)

/* Writes a Swift or C++ name in the form that people read, cut to the capacity, and returns its length.
 *
 * 0 if it is no such name, if the process has no demangler for it, if it is longer than
 * OUTRIDER_SYMBOLS_LONGEST, or if it could become longer than a megabyte or so by what it refers to in itself:
 * then it stays as it is. Needs OUTRIDER_SYMBOLS_STACK of stack: demanglers recurse once a part of the name. */
size_t outrider_symbols_demangle(const char *name, char *into, size_t capacity);

#ifdef __cplusplus
}
#endif
#endif
