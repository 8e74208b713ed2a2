/* SPDX-License-Identifier: Apache-2.0
 * Stacks among mappings that are created and removed, with the hooks linked in. The kernel merges
 * adjacent mappings, so a coroutine's stack and the first thread's descriptor look like one range
 * until something between them is unmapped. A frame pointer into that range must not be followed.
 */
#define _GNU_SOURCE
#include "expect.h"
#include "frame.h"

#include "outrider_heap.h"
#include "outrider_stack.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { MAPPINGS = 8, SIZE = 65536, SOME_PAGES = 4 * 4096 };

static ucontext_t first, coroutine;
static char *mappings[MAPPINGS];

#if !defined(__x86_64__)
static void *malloc_with_frame(size_t size, uintptr_t frame) { return frame ? malloc(size) : NULL; }
#endif

static void allocate_before_and_after(void) {
    free(kept(malloc(100)));
    EXPECT(swapcontext(&coroutine, &first) == 0);
    for (size_t at = 0; at < SIZE; at += 512)
        for (int i = 0; i < MAPPINGS - 1; i++)
            free(kept(malloc_with_frame(100, (uintptr_t)mappings[i] + at)));
}

static void memory_that_is_gone_is_not_read(void) {
    EXPECT(getcontext(&coroutine) == 0);
    coroutine.uc_stack.ss_sp = mappings[MAPPINGS - 1];
    coroutine.uc_stack.ss_size = SIZE;
    coroutine.uc_link = &first;
    makecontext(&coroutine, allocate_before_and_after, 0);
    EXPECT(swapcontext(&first, &coroutine) == 0);
    for (int i = 0; i < MAPPINGS - 1; i++) EXPECT(munmap(mappings[i], SIZE) == 0);
    EXPECT(swapcontext(&first, &coroutine) == 0);
}

/* The bounds must equal those of pthread_getattr_np(3), which reads files and locks, within a few
 * pages: a guard may lie below, and the thread's descriptor and variables above. */
static void *find_own_bounds(void *is_first) {
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    outrider_stack_bounds bounds = outrider_stack_find_bounds(here);
    pthread_attr_t attributes;
    void *stack;
    size_t size;
    EXPECT(bounds.low <= here && here < bounds.high);
    EXPECT(pthread_getattr_np(pthread_self(), &attributes) == 0);
    EXPECT(pthread_attr_getstack(&attributes, &stack, &size) == 0);
    pthread_attr_destroy(&attributes);
    uintptr_t low = (uintptr_t)stack, high = low + size;
    EXPECT(bounds.high <= high && high - bounds.high <= SOME_PAGES);
    EXPECT(is_first || (bounds.low <= low && low - bounds.low <= SOME_PAGES));
    return NULL;
}

/* For a stack allocated by libc, one without a guard, and one provided by the program. */
static void every_thread_knows_its_stack(void) {
    pthread_attr_t attributes;
    pthread_t thread;
    find_own_bounds(&thread);
    EXPECT(pthread_create(&thread, NULL, find_own_bounds, NULL) == 0 && pthread_join(thread, NULL) == 0);
    pthread_attr_init(&attributes);
    EXPECT(pthread_attr_setguardsize(&attributes, 0) == 0);
    EXPECT(pthread_create(&thread, &attributes, find_own_bounds, NULL) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
    void *stack = mmap(NULL, 4 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(stack != MAP_FAILED && pthread_attr_setstack(&attributes, stack, 4 * SIZE) == 0);
    EXPECT(pthread_create(&thread, &attributes, find_own_bounds, NULL) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
    pthread_attr_destroy(&attributes);
}

int main(void) {
    /* Mapped top down, as the kernel does, and before the sampler's own mappings. */
    for (int i = 0; i < MAPPINGS; i++) {
        mappings[i] = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        EXPECT(mappings[i] != MAP_FAILED);
    }
    EXPECT(outrider_heap_start(1) == OUTRIDER_HEAP_SAMPLING);
    free(kept(malloc(10)));
    memory_that_is_gone_is_not_read();
    every_thread_knows_its_stack();
    puts("every stack ended where it ends");
}
