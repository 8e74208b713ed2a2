/* SPDX-License-Identifier: Apache-2.0
 * Confines itself to the system calls that an allocator needs; any other one ends it (seccomp(2)).
 *
 *   confined filter    memory, futex(2) and write(2), for all of its threads
 *   confined strict    read(2), write(2) and _exit(2) only, so that it cannot even read a clock
 *
 * Its threads allocate for the first time after that. It ends without running its exit handlers;
 * with a second argument it runs them, or, in strict mode, waits for a byte first.
 */
#define _GNU_SOURCE
#include "expect.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef LINKED
#include "outrider_heap.h"
#include "outrider_stack.h"
#endif

enum { THREADS = 4, BLOCKS = 20000, LARGEST = 5000 };

static sem_t is_there, may_work, has_worked, never;

static void confine(void) {
    static const int allowed[] = {SYS_brk,    SYS_mmap,  SYS_munmap,   SYS_mremap,    SYS_mprotect,
                                  SYS_madvise, SYS_futex, SYS_write,    SYS_exit_group};
    enum { COUNT = sizeof allowed / sizeof *allowed };
    struct sock_filter steps[2 * COUNT + 2] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    for (size_t i = 0; i < COUNT; i++) {
        steps[2 * i + 1] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], 0, 1);
        steps[2 * i + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    steps[2 * COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog program = {2 * COUNT + 2, steps};
    EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    EXPECT(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0);
}

static void allocate(int blocks, int largest) {
    void *held[64] = {0};
    for (int i = 0; i < blocks; i++) {
        void **place = &held[i % 64];
        free(*place);
        *place = kept(malloc((size_t)(i * 7919 % largest + 1)));
        if (i % 5 == 0) *place = kept(realloc(*place, (size_t)(i * 104729 % largest + 1)));
    }
    for (int i = 0; i < 64; i++) free(held[i]);
}

static void await(sem_t *semaphore) {
    while (sem_wait(semaphore) != 0) continue;
}

static void *work(void *unused) {
    sem_post(&is_there);
    await(&may_work);
    allocate(BLOCKS, LARGEST);
    sem_post(&has_worked);
    await(&never);
    return unused;
}

static void say(const char *text) { EXPECT(write(STDOUT_FILENO, text, strlen(text)) > 0); }

int main(int count, char **arguments) {
#ifdef LINKED
    outrider_stack_prepare_tables();
    EXPECT(outrider_heap_start(1) == OUTRIDER_HEAP_SAMPLING);
#endif
    EXPECT(count > 1);
    if (strcmp(arguments[1], "strict") == 0) {
        /* Allocates the memory needed later, since no more is available afterwards. */
        void *room[50];
        for (int i = 0; i < 50; i++) room[i] = kept(malloc(2000));
        for (int i = 0; i < 50; i++) free(room[i]);
        EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
        allocate(BLOCKS, 500);
        say("confined\n");
        char byte;
        if (count > 2) EXPECT(read(STDIN_FILENO, &byte, 1) == 1);
        syscall(SYS_exit, 0);
    }
    EXPECT(sem_init(&is_there, 0, 0) == 0 && sem_init(&may_work, 0, 0) == 0);
    EXPECT(sem_init(&has_worked, 0, 0) == 0 && sem_init(&never, 0, 0) == 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        EXPECT(pthread_create(&thread, NULL, work, NULL) == 0);
    }
    for (int i = 0; i < THREADS; i++) await(&is_there);
    confine();
    for (int i = 0; i < THREADS; i++) sem_post(&may_work);
    allocate(BLOCKS, LARGEST);
    for (int i = 0; i < THREADS; i++) await(&has_worked);
    say("confined\n");
    if (count > 2) return 0;
    _exit(0);
}
