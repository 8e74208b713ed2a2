/* SPDX-License-Identifier: Apache-2.0
 * Hooks for malloc and its relatives, as called by the whole process.
 *
 * Hooks that allocate count the requested bytes; all pass the call on to the next allocator. The
 * two that determine the cost are written in assembly on x86-64, because compilers set up a frame
 * in every function if frame pointers are enabled: malloc adds five instructions, free seven. A
 * call that is not sampled takes no lock; sampling waits for locks only for a bounded time. Only
 * reallocarray's check for overflow sets errno here. Calls from within the sampler are passed on
 * uncounted.
 */
#define _GNU_SOURCE
#include "hooks.h"

#if OUTRIDER_HEAP_HOOKED
#include "blocks.h"
#include "next.h"
#include "sampler.h"

#include <errno.h>
#include <stdint.h>

/* The slow paths of the assembly. A gap is counted down in parts of at most 1 MiB (sampler.h), so
 * the end of a part need not be a sample: `mean` is that of the gap that ended, 0 without one. */
COLD void *outrider_heap_malloc_end_countdown(size_t size);
COLD void outrider_heap_free_stopped(void *block);

void *outrider_heap_malloc_end_countdown(size_t size) {
    uint64_t mean = outrider_heap_end_countdown((uint64_t)size + 1);
    void *block = outrider_heap_next.malloc(size);
    if (mean && block) outrider_heap_sample(block, size, size, NEW_BLOCK, mean, CALLER_POINT());
    return block;
}

void outrider_heap_free_stopped(void *block) {
    if (outrider_heap_is_boot_block(block)) return;
    outrider_heap_forget(block);
    outrider_heap_next.free(block);
}

#if defined(__x86_64__)

/* countdown -= size + 1; a borrow means that it has ended. The comparison is unsigned, so that no
 * size, however large, lengthens the countdown. */
__asm__(
    ".text\n"
    ".hidden outrider_heap_malloc\n"
    ".globl outrider_heap_malloc, malloc\n"
    ".type outrider_heap_malloc, @function\n"
    ".type malloc, @function\n"
    ".p2align 4\n"
    "malloc:\n"
    "outrider_heap_malloc:\n"
    "    .cfi_startproc\n"
    "    movq outrider_heap_countdown@GOTTPOFF(%rip), %rax\n"
    "    leaq 1(%rdi), %rcx\n"
    "    subq %rcx, %fs:(%rax)\n"
    "    jb outrider_heap_malloc_end_countdown\n"
    "    jmpq *outrider_heap_next(%rip)\n"
    "    .cfi_endproc\n"
    ".size outrider_heap_malloc, . - outrider_heap_malloc\n"
    ".size malloc, . - malloc\n");

/* filter[hash(block) & mask] != 0 needs a lookup. The constants are FILTER_FACTOR and
 * FILTER_SHIFT. */
__asm__(
    ".text\n"
    ".hidden outrider_heap_free\n"
    ".globl outrider_heap_free, free\n"
    ".type outrider_heap_free, @function\n"
    ".type free, @function\n"
    ".p2align 4\n"
    "free:\n"
    "outrider_heap_free:\n"
    "    .cfi_startproc\n"
    "    imull $0x9e3779b1, %edi, %eax\n"
    "    shrl $12, %eax\n"
    "    andl outrider_heap_filter_mask(%rip), %eax\n"
    "    leaq outrider_heap_filter(%rip), %rcx\n"
    "    cmpb $0, (%rcx,%rax)\n"
    "    jne outrider_heap_free_stopped\n"
    "    jmpq *outrider_heap_next+8(%rip)\n"
    "    .cfi_endproc\n"
    ".size outrider_heap_free, . - outrider_heap_free\n"
    ".size free, . - free\n");

_Static_assert(
    FILTER_FACTOR == 0x9e3779b1u && FILTER_SHIFT == 12 && FILTER_LARGE_MASK < 1u << (32 - 12)
        && offsetof(struct outrider_heap_next, malloc) == 0
        && offsetof(struct outrider_heap_next, free) == 8,
    "the assembly hard-codes these constants");

#else

void *outrider_heap_malloc(size_t size) {
    uint64_t mean = outrider_heap_count(size);
    void *block = outrider_heap_next.malloc(size);
    if (UNLIKELY(mean) && block)
        outrider_heap_sample(block, size, size, NEW_BLOCK, mean, CALLER_POINT());
    return block;
}

void outrider_heap_free(void *block) {
    if (UNLIKELY(may_be_sampled(block)))
        outrider_heap_free_stopped(block);
    else
        outrider_heap_next.free(block);
}

EXPORTED void *malloc(size_t size) __attribute__((alias("outrider_heap_malloc")));
EXPORTED void free(void *block) __attribute__((alias("outrider_heap_free")));

#endif

/* Counts a call and records its block if it is a sample; must be used in the hook itself,
 * whose caller is the first frame of the stack. */
#define SAMPLED(block, bytes)                                                                    \
    do {                                                                                         \
        uint64_t mean_ = outrider_heap_count(bytes);                                             \
        if (UNLIKELY(mean_) && (block))                                                          \
            outrider_heap_sample(block, bytes, bytes, NEW_BLOCK, mean_, CALLER_POINT());         \
    } while (0)

EXPORTED void *calloc(size_t count, size_t size) {
    void *block = outrider_heap_next.calloc(count, size);
    /* If the product overflows, there is no block. */
    if (block) SAMPLED(block, count * size);
    return block;
}

/* For the live totals, every resized block counts as new: it is forgotten first, and the new size
 * decides whether it is sampled. In place, only growth beyond the old usable size counts as
 * allocated. */
static void *reallocated(void *block, size_t size, outrider_stack_point caller) {
    if (outrider_heap_is_boot_block(block)) return outrider_heap_move_boot_block(block, size);
    removed_block removed;
    bool is_removed = UNLIKELY(may_be_sampled(block)) && outrider_heap_remove(block, &removed);
    uint64_t mean = outrider_heap_count(size);
    size_t before =
        UNLIKELY(mean) && block ? outrider_heap_next.malloc_usable_size(block) : 0;
    void *moved = outrider_heap_next.realloc(block, size);
    if (!moved) {
        /* With size 0 the block has been freed; otherwise it is unchanged. */
        if (is_removed && size != 0) outrider_heap_restore(block, removed);
        return NULL;
    }
    if (UNLIKELY(mean)) {
        bool stayed = moved == block;
        size_t grown = !stayed ? size : size > before ? size - before : 0;
        outrider_heap_sample(
            moved, size, grown, stayed ? GROWN_IN_PLACE : NEW_BLOCK, mean, caller);
    }
    return moved;
}

void *outrider_heap_realloc(void *block, size_t size);
HIDDEN void *outrider_heap_realloc(void *block, size_t size) {
    return reallocated(block, size, CALLER_POINT());
}

EXPORTED void *realloc(void *block, size_t size) __attribute__((alias("outrider_heap_realloc")));

/* The realloc that the process calls: if the program's own allocator comes before the hooks but
 * lacks reallocarray, its blocks still reach reallocarray. */
static void *(*const volatile called_realloc)(void *, size_t) = realloc;

EXPORTED void *reallocarray(void *block, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    if (UNLIKELY(called_realloc != outrider_heap_realloc)) return called_realloc(block, bytes);
    return reallocated(block, bytes, CALLER_POINT());
}

EXPORTED int posix_memalign(void **block, size_t alignment, size_t size) {
    int problem = outrider_heap_next.posix_memalign(block, alignment, size);
    if (problem == 0) SAMPLED(*block, size);
    return problem;
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size) {
    void *block = outrider_heap_next.aligned_alloc(alignment, size);
    SAMPLED(block, size);
    return block;
}

EXPORTED void *memalign(size_t alignment, size_t size) {
    void *block = outrider_heap_next.memalign(alignment, size);
    SAMPLED(block, size);
    return block;
}

EXPORTED void *valloc(size_t size) {
    void *block = outrider_heap_next.valloc(size);
    SAMPLED(block, size);
    return block;
}

EXPORTED void *pvalloc(size_t size) {
    void *block = outrider_heap_next.pvalloc(size);
    SAMPLED(block, size);
    return block;
}

EXPORTED size_t malloc_usable_size(void *block) {
    if (outrider_heap_is_boot_block(block)) return outrider_heap_boot_block_size(block);
    return outrider_heap_next.malloc_usable_size(block);
}

/* C23 functions that only some allocators have: free without the need of the size. */
EXPORTED void free_sized(void *block, size_t size);
EXPORTED void free_aligned_sized(void *block, size_t alignment, size_t size);

void free_sized(void *block, size_t size) {
    (void)size;
    outrider_heap_free(block);
}

void free_aligned_sized(void *block, size_t alignment, size_t size) {
    (void)alignment, (void)size;
    outrider_heap_free(block);
}
#endif
