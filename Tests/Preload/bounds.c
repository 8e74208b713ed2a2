/* SPDX-License-Identifier: Apache-2.0
 * Allocates a block on each kind of thread stack, in functions named after the kind. The kernel and
 * libc describe stacks differently: the guard may be a separate mapping, a marked range within the
 * stack's mapping (madvise(2), MADV_GUARD_INSTALL, glibc 2.42 and later), or absent; libc may have
 * allocated the stack or been given it; and the thread may have run a fiber before.
 *
 *   bounds          every kind; prints a line at the end
 *   bounds short    many threads that end soon
 *   bounds deep     the first thread, below 200 MB of its stack
 */
#define _GNU_SOURCE
#include "expect.h"
#include "frame.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { STACK = 1 << 20, BELOW = 256 << 20, FIBER = 65536, BEFORE = 20, SHORT_THREADS = 200, MUCH = 200000000, GUARD_INSTALL = 102 };

__attribute__((noinline)) static void *leaf(void) { return kept(malloc(1000)); }
__attribute__((noinline)) static void *middle(void) { return kept(leaf()); }

/* A separate thread function for each kind. */
#define THREAD(kind)                                                                      \
    __attribute__((noinline)) void *kind(void *unused);                                   \
    __attribute__((noinline)) void *kind(void *unused) { return (void)unused, kept(middle()); }
THREAD(with_guard)
THREAD(without_guard)
THREAD(on_given_stack)
THREAD(on_stack_with_marked_guard)
THREAD(on_stack_within_mains)

static void run(pthread_attr_t *attributes, void *(*work)(void *)) {
    pthread_t thread;
    void *block;
    EXPECT(pthread_create(&thread, attributes, work, NULL) == 0 && pthread_join(thread, &block) == 0);
    EXPECT(block);
}

static void run_on(char *stack, void *(*work)(void *)) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    EXPECT(stack != MAP_FAILED && pthread_attr_setstack(&attributes, stack, STACK) == 0);
    run(&attributes, work);
    pthread_attr_destroy(&attributes);
}

/* Maps memory at this address if it is free. */
static char *mapped(uintptr_t wanted, size_t size) {
    void *near = (void *)(wanted & ~(uintptr_t)0xffff);
    return mmap(near, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

/* --- fibers before ---------------------------------------------------------------------------------- */

/* If a thread's first blocks are allocated by a fiber, they say nothing about the thread's own
 * stack, and a frame pointer from there leads nowhere: a page between the two stacks is
 * unmapped. */
static __thread ucontext_t home, fiber;
static __thread char *hole;

#if defined(__x86_64__)
/* Acts like the libc function that starts a thread, which keeps a negative number in the frame
 * pointer register. */
void *with_number_for_frame(void *(*work)(void));
__asm__(
    ".globl with_number_for_frame\n"
    ".type with_number_for_frame, @function\n"
    "with_number_for_frame:\n"
    "    pushq %rbp\n"
    "    movq $-192, %rbp\n"
    "    call *%rdi\n"
    "    popq %rbp\n"
    "    ret\n"
    ".size with_number_for_frame, . - with_number_for_frame\n");
#else
static void *malloc_with_frame(size_t size, uintptr_t frame) { return frame ? malloc(size) : NULL; }
__attribute__((noinline)) void *with_number_for_frame(void *(*work)(void));
__attribute__((noinline)) void *with_number_for_frame(void *(*work)(void)) { return kept(work()); }
#endif

static void allocate_in_fiber(void) {
    for (int i = 0; i < BEFORE; i++) free(kept(malloc_with_frame(100, (uintptr_t)hole + 64)));
}

__attribute__((noinline)) void *after_fiber(void *unused);
__attribute__((noinline)) void *after_fiber(void *unused) {
    (void)unused;
    /* Below the thread descriptor, near the thread's stack. */
    char *memory = mapped((uintptr_t)pthread_self() - BELOW, 3 * FIBER);
    EXPECT(memory != MAP_FAILED && getcontext(&fiber) == 0);
    hole = memory + FIBER;
    EXPECT(munmap(hole, FIBER) == 0);
    fiber.uc_stack = (stack_t){.ss_sp = memory, .ss_size = FIBER};
    fiber.uc_link = &home;
    makecontext(&fiber, allocate_in_fiber, 0);
    EXPECT(swapcontext(&home, &fiber) == 0);
    void *block = kept(middle());
    EXPECT(munmap(memory, FIBER) == 0 && munmap(memory + 2 * FIBER, FIBER) == 0);
    return block;
}

/* ---------------------------------------------------------------------------------------------------- */

static void every_kind(void) {
    char within_mains[STACK] __attribute__((aligned(4096)));
    pthread_attr_t attributes;
    run(NULL, with_guard);
    pthread_attr_init(&attributes);
    EXPECT(pthread_attr_setguardsize(&attributes, 0) == 0);
    run(&attributes, without_guard);
    pthread_attr_destroy(&attributes);
    run_on(mapped(0, STACK), on_given_stack);
    char *marked = mapped(0, STACK);
    /* Older kernels lack such guards; then there is none, which looks the same in maps(5). */
    if (madvise(marked, 4096, GUARD_INSTALL) != 0) fprintf(stderr, "this kernel marks no guards\n");
    run_on(marked, on_stack_with_marked_guard);
    run_on(within_mains, on_stack_within_mains);
    run(NULL, after_fiber);
}

/* Touches little of its large frame. */
__attribute__((noinline)) void *below_much(void);
__attribute__((noinline)) void *below_much(void) {
    volatile char much[MUCH];
    much[0] = 1;
    void *block = kept(middle());
    return much[0] ? block : NULL;
}

int main(int count, char **arguments) {
    if (count > 1 && strcmp(arguments[1], "deep") == 0) {
        EXPECT(below_much());
    } else if (count > 1 && strcmp(arguments[1], "short") == 0) {
        for (int i = 0; i < SHORT_THREADS; i++) run(NULL, with_guard);
    } else {
        /* The first samples of the first thread come from a fiber too. */
        EXPECT(after_fiber(NULL));
        every_kind();
        EXPECT(with_number_for_frame(middle));
    }
    puts("every thread has its block");
}
