/* SPDX-License-Identifier: Apache-2.0
 * A program without threads that is nearly always in malloc, or in a handler that interrupted
 * malloc, and whose alternate stack has little more room than the kernel needs. It prints "ready"
 * and works until its input ends. Then it checks that every block kept its content, and that it
 * never noticed a child.
 */
#define _GNU_SOURCE
#include "expect.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { BLOCKS = 1000, PAGE = 4096, ROOM = 2048, ROUNDS = 100, INTERVAL_US = 300, LOOPS = 20000 };

static volatile sig_atomic_t ended_children;

/* Stays for a while, so that signals arrive in the handler too. */
static void on_alarm(int number) {
    (void)number;
    for (volatile int i = 0; i < LOOPS; i++) continue;
}

static void on_child(int number) {
    (void)number;
    ended_children++;
}

/* A page without access precedes it. */
static void use_small_stack(void) {
    size_t size = (getauxval(AT_MINSIGSTKSZ) + ROOM + 15) & ~(size_t)15;
    size_t mapped = (size + PAGE - 1) / PAGE * PAGE;
    char *memory =
        mmap(NULL, PAGE + mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(memory != MAP_FAILED && mprotect(memory, PAGE, PROT_NONE) == 0);
    stack_t stack = {.ss_sp = memory + PAGE, .ss_size = size};
    EXPECT(sigaltstack(&stack, NULL) == 0);
}

static void handle(int number, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    EXPECT(sigaction(number, &action, NULL) == 0);
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
    use_small_stack();
    handle(SIGCHLD, on_child);
    handle(SIGALRM, on_alarm);
    struct itimerval often = {{0, INTERVAL_US}, {0, INTERVAL_US}};
    EXPECT(setitimer(ITIMER_REAL, &often, NULL) == 0);
    EXPECT(fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) == 0);
    EXPECT(write(STDOUT_FILENO, "ready\n", 6) == 6);
    char byte;
    do {
        work();
    } while (read(STDIN_FILENO, &byte, 1) != 0);
    EXPECT(wait(NULL) == -1 && errno == ECHILD && ended_children == 0);
    puts("every block kept its content");
    return 0;
}
