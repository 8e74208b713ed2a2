/* SPDX-License-Identifier: Apache-2.0
 * malloc and related functions behave as documented (malloc(3), posix_memalign(3)), errno included.
 */
#define _GNU_SOURCE
#include "expect.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <string.h>

enum { ROUNDS = 2000, MOST = 9000 };

/* Larger than any address space, and volatile so that the compiler does not warn. */
static volatile size_t huge = SIZE_MAX / 2;

static void fill(unsigned char *block, size_t size) {
    for (size_t i = 0; i < size; i++) block[i] = (unsigned char)(i * 7 + size);
}

static int is_filled(const unsigned char *block, size_t size, size_t as_of) {
    for (size_t i = 0; i < size; i++)
        if (block[i] != (unsigned char)(i * 7 + as_of)) return 0;
    return 1;
}

static void blocks_hold_what_is_written(void) {
    static unsigned char *blocks[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        size_t size = i * 37 % MOST;
        errno = 4711;
        blocks[i] = malloc(size);
        EXPECT(blocks[i] && errno == 4711);
        /* Some allocators align to 16 bytes only for sizes that are multiples of 16. */
        EXPECT((uintptr_t)blocks[i] % (size % 16 == 0 && size > 0 ? 16 : 8) == 0);
        EXPECT(malloc_usable_size(blocks[i]) >= size);
        fill(blocks[i], size);
    }
    for (size_t i = 0; i < ROUNDS; i++) {
        EXPECT(is_filled(blocks[i], i * 37 % MOST, i * 37 % MOST));
        errno = 4711;
        free(blocks[i]);
        EXPECT(errno == 4711);
    }
}

static void cleared_blocks_are_clear(void) {
    for (size_t i = 1; i < ROUNDS; i++) {
        unsigned char *block = kept(calloc(i, 7));
        for (size_t at = 0; at < 7 * i; at++) EXPECT(block[at] == 0);
        fill(block, 7 * i);
        free(block);
    }
}

static void reallocation_keeps_the_content(void) {
    unsigned char *block = NULL;
    size_t before = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        /* Grows in small steps, as in place; sometimes jumps far up or down, which needs a move. */
        size_t size = i % 97 == 0 ? 300000 : i % 50 == 0 ? 10 : before % MOST + 13;
        unsigned char *other = i % 3 == 0 ? malloc(100) : NULL;
        block = i % 2 ? realloc(block, size) : reallocarray(block, size, 1);
        EXPECT(block);
        size_t least = size < before ? size : before;
        EXPECT(is_filled(block, least, before));
        fill(block, size);
        before = size;
        free(other);
    }
    free(block);
}

static void aligned_blocks_are_aligned(void) {
    for (size_t alignment = sizeof(void *); alignment <= 65536; alignment *= 2) {
        for (size_t size = 1; size < 20000; size = size * 3 + 1) {
            void *block = NULL;
            EXPECT(posix_memalign(&block, alignment, size) == 0);
            EXPECT((uintptr_t)block % alignment == 0 && malloc_usable_size(block) >= size);
            memset(block, 1, size);
            block = realloc(block, size * 2);
            EXPECT(block);
            memset(block, 2, size * 2);
            free(block);
            block = kept(aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment));
            EXPECT(block && (uintptr_t)block % alignment == 0);
            free(block);
            block = kept(memalign(alignment, size));
            EXPECT(block && (uintptr_t)block % alignment == 0);
            free(block);
        }
    }
    void *page = kept(valloc(10));
    EXPECT(page && (uintptr_t)page % 4096 == 0);
    free(page);
}

static void refusals_say_so(void) {
    void *block = (void *)1;
    EXPECT(posix_memalign(&block, 24, 10) == EINVAL && posix_memalign(&block, 4, 10) == EINVAL);
    EXPECT(posix_memalign(&block, 64, huge) == ENOMEM);
    errno = 0;
    EXPECT(!kept(malloc(huge)) && errno == ENOMEM);
    errno = 0;
    EXPECT(!kept(calloc(huge, 4)) && errno == ENOMEM);
    errno = 0;
    EXPECT(!kept(reallocarray(NULL, huge, 4)) && errno == ENOMEM);
    unsigned char *small = malloc(100);
    fill(small, 100);
    EXPECT(!kept(realloc(small, huge)));
    EXPECT(is_filled(small, 100, 100));
    free(small);
}

static void nothing_is_something_too(void) {
    free(NULL);
    void *one = kept(malloc(0)), *two = kept(malloc(0));
    EXPECT(one && two && one != two);
    free(one);
    free(two);
    EXPECT(malloc_usable_size(NULL) == 0);
    void *block = realloc(NULL, 50);
    EXPECT(block);
    free(block);
}

int main(void) {
    blocks_hold_what_is_written();
    cleared_blocks_are_clear();
    reallocation_keeps_the_content();
    aligned_blocks_are_aligned();
    refusals_say_so();
    nothing_is_something_too();
    puts("every call kept its promise");
}
