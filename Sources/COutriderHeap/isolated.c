/* SPDX-License-Identifier: Apache-2.0
 * An allocator for a copy of a process that was forked in a signal handler.
 *
 * The signal may have interrupted malloc, so the copy must not call the process's allocator. It
 * gets memory of its own: blocks follow each other in mapped chunks, and a chunk is reused from its
 * start once all blocks are free. Blocks allocated before the fork stay as they are.
 *
 * Only for one thread.
 */
#define _GNU_SOURCE
#include "hooked.h"

#if OUTRIDER_HEAP_HOOKED
#include "next.h"
#include "outrider_heap.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

/* The usual alignment of malloc(3), and the memory mapped at once. */
enum { ALIGNMENT = 16, CHUNK_SIZE = 1 << 20, PAGE = 4096 };

/* In front of every block. */
typedef struct {
    size_t size, is_ours;
} head;
_Static_assert(sizeof(head) == ALIGNMENT, "a block follows its head");

/* Tells blocks from those of the process. */
static const size_t mark = 0x6f75747269646572;

static uintptr_t chunk, chunk_end, chunk_used;
static size_t blocks_in_chunk;
/* Of the process's allocator; reads only. */
static size_t (*usable_size_before)(void *);

/* Whether the block belongs to the current chunk. */
static bool is_in_chunk(const void *block) {
    return (uintptr_t)block > chunk && (uintptr_t)block < chunk_end;
}

static head *head_of(void *block) { return (head *)block - 1; }

/* Maps a chunk with room for so many bytes; the blocks of the previous one are never reused. */
static bool map_chunk(size_t bytes) {
    size_t size = bytes > CHUNK_SIZE ? (bytes + PAGE - 1) & ~(size_t)(PAGE - 1) : CHUNK_SIZE;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return false;
    chunk = chunk_used = (uintptr_t)memory;
    chunk_end = chunk + size;
    blocks_in_chunk = 0;
    return true;
}

static void *allocate(size_t alignment, size_t size) {
    if (alignment < ALIGNMENT) alignment = ALIGNMENT;
    size_t room;
    if (__builtin_add_overflow(size, alignment + sizeof(head), &room)) goto refuse;
    if (room > chunk_end - chunk_used && !map_chunk(room)) goto refuse;
    uintptr_t block = (chunk_used + sizeof(head) + alignment - 1) & ~(uintptr_t)(alignment - 1);
    *head_of((void *)block) = (head){size, mark};
    chunk_used = (block + size + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
    if (chunk_used > chunk_end) chunk_used = chunk_end;
    blocks_in_chunk++;
    return (void *)block;
refuse:
    errno = ENOMEM;
    return NULL;
}

static void *isolated_malloc(size_t size) { return allocate(ALIGNMENT, size); }

static void isolated_free(void *block) {
    if (!is_in_chunk(block)) return;
    if (--blocks_in_chunk == 0) chunk_used = chunk;
}

static void *isolated_calloc(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    void *block = allocate(ALIGNMENT, bytes);
    return block ? memset(block, 0, bytes) : NULL;
}

static size_t isolated_usable_size(void *block) {
    if (!block) return 0;
    return head_of(block)->is_ours == mark ? head_of(block)->size : usable_size_before(block);
}

static void *isolated_realloc(void *block, size_t size) {
    void *moved = allocate(ALIGNMENT, size);
    if (!moved || !block) return moved;
    size_t before = isolated_usable_size(block);
    memcpy(moved, block, before < size ? before : size);
    isolated_free(block);
    return moved;
}

static void *isolated_memalign(size_t alignment, size_t size) { return allocate(alignment, size); }

static int isolated_posix_memalign(void **block, size_t alignment, size_t size) {
    void *found = allocate(alignment, size);
    if (!found) return ENOMEM;
    *block = found;
    return 0;
}

static void *isolated_valloc(size_t size) { return allocate(PAGE, size); }

void outrider_heap_isolate(void) {
    outrider_heap_stop();
    usable_size_before = outrider_heap_next.malloc_usable_size;
    outrider_heap_next = (struct outrider_heap_next){
        isolated_malloc,   isolated_free,     isolated_calloc, isolated_realloc, isolated_posix_memalign,
        isolated_memalign, isolated_memalign, isolated_valloc, isolated_valloc,  isolated_usable_size,
    };
}

#else
#include "outrider_heap.h"

void outrider_heap_isolate(void) {}
#endif
