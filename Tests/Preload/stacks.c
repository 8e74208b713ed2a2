/* SPDX-License-Identifier: Apache-2.0
 * Allocations on every kind of stack: deep ones, a signal stack, coroutine stacks, under frequent
 * signals, and with arbitrary values in the frame pointer register.
 */
#define _GNU_SOURCE
#include "expect.h"
#include "frame.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

enum { DEPTH = 20000, COROUTINES = 20, SWITCHES = 200, COROUTINE_STACK = 65536, PER_SECOND = 1000 };

/* --- deep recursion --------------------------------------------------------------------------------- */

static size_t descend(int depth) {
    char *block = kept(malloc((size_t)depth % 100 + 1));
    block[0] = (char)depth;
    size_t sum = depth == 0 ? 0 : descend(depth - 1);
    sum += (unsigned char)block[0] == (unsigned char)depth;
    free(block);
    return sum;
}

/* --- signal stack ----------------------------------------------------------------------------------- */

static volatile int handled;
static void handle_with_blocks(int number) {
    (void)number;
    for (size_t i = 1; i < 100; i++) free(kept(calloc(i, 10)));
    handled++;
}

static void signals_on_their_own_stack(void) {
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    EXPECT(sigaltstack(&stack, NULL) == 0);
    struct sigaction action = {.sa_handler = handle_with_blocks, .sa_flags = SA_ONSTACK};
    EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
    for (int i = 0; i < 500; i++) {
        free(kept(malloc(100)));
        raise(SIGUSR1);
    }
    EXPECT(handled == 500);
    stack.ss_flags = SS_DISABLE;
    EXPECT(sigaltstack(&stack, NULL) == 0);
    free(stack.ss_sp);
}

/* --- coroutines ------------------------------------------------------------------------------------- */

static ucontext_t first, coroutines[COROUTINES];
static void run_coroutine(int number) {
    for (int i = 0; i < SWITCHES; i++) {
        char *block = malloc((size_t)(i * 17 + 1));
        memset(block, number, (size_t)(i * 17 + 1));
        EXPECT(swapcontext(&coroutines[number], &first) == 0);
        EXPECT(block[i * 17] == (char)number);
        free(block);
    }
}

static void coroutines_take_turns(void) {
    void *stacks[COROUTINES];
    for (int i = 0; i < COROUTINES; i++) {
        EXPECT(getcontext(&coroutines[i]) == 0);
        coroutines[i].uc_stack.ss_sp = stacks[i] = malloc(COROUTINE_STACK);
        coroutines[i].uc_stack.ss_size = COROUTINE_STACK;
        coroutines[i].uc_link = &first;
        makecontext(&coroutines[i], (void (*)(void))run_coroutine, 1, i);
    }
    for (int turn = 0; turn <= SWITCHES; turn++)
        for (int i = 0; i < COROUTINES; i++) EXPECT(swapcontext(&first, &coroutines[i]) == 0);
    for (int i = 0; i < COROUTINES; i++) free(stacks[i]);
}

/* --- frequent signals ------------------------------------------------------------------------------- */

static _Atomic(int) ticks;
static void tick(int number) {
    (void)number;
    ticks++;
}

static void signals_a_thousand_times_a_second(void) {
    struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
    EXPECT(sigaction(SIGPROF, &action, NULL) == 0);
    struct itimerval timer = {{0, 1000000 / PER_SECOND}, {0, 1000000 / PER_SECOND}};
    EXPECT(setitimer(ITIMER_PROF, &timer, NULL) == 0);
    void *held[64] = {NULL};
    for (size_t i = 0; ticks < 200; i++) {
        free(held[i % 64]);
        held[i % 64] = malloc(i * 13 % 3000 + 1);
    }
    timer = (struct itimerval){{0, 0}, {0, 0}};
    EXPECT(setitimer(ITIMER_PROF, &timer, NULL) == 0);
    for (int i = 0; i < 64; i++) free(held[i]);
}

/* --- garbage in the frame pointer --------------------------------------------------------------------- */

#if defined(__x86_64__)
static void anything_for_a_frame(void) {
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    uintptr_t loop[2] = {(uintptr_t)loop, (uintptr_t)here};
    uint64_t state = 1;
    for (int i = 0; i < 20000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        uintptr_t random = (uintptr_t)(state >> 11);
        uintptr_t frames[] = {
            0, 1, UINTPTR_MAX, UINTPTR_MAX - 7, random, here + random % 100000, here - random % 100000,
            (here + random % 4096) & ~(uintptr_t)7, (uintptr_t)loop, here | (uintptr_t)1 << 60,
            random | (uintptr_t)1 << 60, (uintptr_t)&malloc_with_frame, 4096};
        uintptr_t frame = frames[i % (int)(sizeof frames / sizeof *frames)];
        free(kept(malloc_with_frame(random % 1000 + 1, frame)));
    }
}
#else
static void anything_for_a_frame(void) {}
#endif

int main(void) {
    EXPECT(descend(DEPTH) == DEPTH + 1);
    signals_on_their_own_stack();
    coroutines_take_turns();
    anything_for_a_frame();
    signals_a_thousand_times_a_second();
    puts("every stack held");
}
