/* SPDX-License-Identifier: Apache-2.0
 * A program without threads that is nearly always within malloc, or in a handler that interrupted malloc, and has an
 * alternate stack with little more room than the kernel needs. It says "ready", works until its input ends, and checks
 * that every block held what was written.
 */
#define _GNU_SOURCE
#include "expect.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/time.h>

enum { BLOCKS = 1000, PAGE = 4096, ROOM = 2048, ROUNDS = 100, INTERVAL_US = 300, LOOPS = 20000 };

/* Some time in a handler, which is the program's own code. */
static void on_alarm(int number) {
    (void)number;
    for (volatile int i = 0; i < LOOPS; i++) continue;
}

/* Past its end nothing may be written. */
static void take_small_stack(void) {
    size_t size = (getauxval(AT_MINSIGSTKSZ) + ROOM + 15) & ~(size_t)15, mapped = (size + PAGE - 1) / PAGE * PAGE;
    char *memory = mmap(NULL, PAGE + mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(memory != MAP_FAILED && mprotect(memory, PAGE, PROT_NONE) == 0);
    stack_t stack = {.ss_sp = memory + PAGE, .ss_size = size};
    EXPECT(sigaltstack(&stack, NULL) == 0);
}

static void work(void) {
    static size_t *blocks[BLOCKS];
    for (size_t i = 0; i < (size_t)ROUNDS * BLOCKS; i++) {
        size_t **place = &blocks[i % BLOCKS];
        if (*place) EXPECT(**place == i - BLOCKS);
        free(*place);
        *place = kept(malloc(i * 7919 % 3000 + sizeof **place));
        **place = i;
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
        blocks[i] = NULL;
    }
}

int main(void) {
    take_small_stack();
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, INTERVAL_US}, {0, INTERVAL_US}};
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
    EXPECT(fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) == 0);
    EXPECT(write(STDOUT_FILENO, "ready\n", 6) == 6);
    char byte;
    do {
        work();
    } while (read(STDIN_FILENO, &byte, 1) != 0);
    puts("every block held");
    return 0;
}
