/* SPDX-License-Identifier: Apache-2.0
 * The allocator behind the hooks. */
#ifndef OUTRIDER_HEAP_NEXT_H
#define OUTRIDER_HEAP_NEXT_H

#include <stdbool.h>
#include <stddef.h>

/* The functions that every call goes on to. From the start they lead to ones that look the real ones
 * up, so that the hooks need not ask. The first two have their place: hooks.c jumps through them. */
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

/* Looks the allocator behind up, unless that has been done. Thread-safe. */
void outrider_heap_find_next(void);
/* What the loader binds calls of malloc or one of its relatives to, from RTLD_NEXT or RTLD_DEFAULT on; NULL if there
 * is none. Takes the loader's lock. */
void *outrider_heap_called(void *where, const char *name);
/* Why sampling may not start; NULL if it may. A constant string. */
const char *outrider_heap_next_problem(void);
/* The file of the allocator behind; "" if nobody knows. */
const char *outrider_heap_next_file(void);

/* Whether a block was handed out before the allocator behind was known. */
bool outrider_heap_is_boot_block(const void *block);
/* The size that such a block was asked for with. */
size_t outrider_heap_boot_block_size(const void *block);
/* Moves such a block to the allocator behind. */
void *outrider_heap_move_boot_block(void *block, size_t size);

#endif
