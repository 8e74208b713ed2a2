/* SPDX-License-Identifier: Apache-2.0
 * The next allocator, behind the hooks. */
#ifndef OUTRIDER_HEAP_NEXT_H
#define OUTRIDER_HEAP_NEXT_H

#include <stdbool.h>
#include <stddef.h>

/* The functions that calls are passed on to. Initially they point to functions that look the real
 * ones up, so the hooks need no check. The order of the first two is fixed: hooks.c jumps through
 * them. */
struct outrider_heap_next {
    void *(*malloc)(size_t);
    void (*free)(void *);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    size_t (*malloc_usable_size)(void *);
};
extern struct outrider_heap_next outrider_heap_next;

/* Looks up the next allocator unless it is known. Thread-safe. */
void outrider_heap_find_next(void);
/* The function that the loader binds calls of malloc or a relative to, from RTLD_NEXT or
 * RTLD_DEFAULT; NULL if there is none. Takes the loader's lock. */
void *outrider_heap_called(void *where, const char *name);
/* Why sampling cannot start; NULL if it can. A constant string. */
const char *outrider_heap_next_problem(void);
/* The file of the next allocator; "" if it is unknown. */
const char *outrider_heap_next_file(void);

/* Whether a block is a boot block, allocated before the next allocator was known. */
bool outrider_heap_is_boot_block(const void *block);
/* The requested size of a boot block. */
size_t outrider_heap_boot_block_size(const void *block);
/* Moves a boot block to the next allocator. */
void *outrider_heap_move_boot_block(void *block, size_t size);

#endif
