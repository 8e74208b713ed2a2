/* SPDX-License-Identifier: Apache-2.0
 * Interposes prctl and syscall, through which a program confines itself to certain system calls
 * (libseccomp uses both). After that, opening a file may end the process, and so may asking the
 * kernel whether it would. All other calls jump to libc with every register unchanged: a syscall
 * may return twice, or on another stack.
 *
 * On x86-64; elsewhere confinement is not noticed.
 */
#define _GNU_SOURCE
#include "confined.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

static void (*_Atomic to_do)(void);

void outrider_before_confinement(void (*work)(void)) { atomic_store(&to_do, work); }

#if defined(__x86_64__) && defined(__linux__)

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define HIDDEN __attribute__((visibility("hidden")))

/* libc's functions; NULL until they are looked up, before main: later, a forked child might wait
 * for the loader. */
HIDDEN void *outrider_next_prctl, *outrider_next_syscall;
HIDDEN void outrider_note_prctl(int option, unsigned long mode, const void *filter);
HIDDEN void outrider_note_syscall(long number, long first, long second, const void *third);

static long refuse(void) {
    errno = ENOSYS;
    return -1;
}

__attribute__((constructor)) static void find_next(void) {
    if (outrider_next_prctl && outrider_next_syscall) return;
    void *next_prctl = dlsym(RTLD_NEXT, "prctl"), *next_syscall = dlsym(RTLD_NEXT, "syscall");
    outrider_next_prctl = next_prctl ? next_prctl : (void *)refuse;
    outrider_next_syscall = next_syscall ? next_syscall : (void *)refuse;
}

/* A NULL filter is a query whether the kernel supports filters. */
static void note(int is_strict, const void *filter) {
    void (*work)(void) = atomic_load(&to_do);
    int saved = errno;
    if (work && (is_strict || filter)) work();
    errno = saved;
}

void outrider_note_prctl(int option, unsigned long mode, const void *filter) {
    find_next();
    if (option == PR_SET_SECCOMP) note(mode == SECCOMP_MODE_STRICT, filter);
}

void outrider_note_syscall(long number, long first, long second, const void *third) {
    find_next();
    if (number == SYS_prctl) outrider_note_prctl((int)first, (unsigned long)second, third);
    if (number == SYS_seccomp && first <= SECCOMP_SET_MODE_FILTER)
        note(first == SECCOMP_SET_MODE_STRICT, third);
}

_Static_assert(PR_SET_SECCOMP == 22 && SYS_prctl == 157 && SYS_seccomp == 317, "the assembly says the same");

/* Saves the argument registers, calls `note` and restores them. */
#define NOTED(note)                                                                                        \
    "    pushq %rdi\n    pushq %rsi\n    pushq %rdx\n    pushq %rcx\n    pushq %r8\n    pushq %r9\n"          \
    "    subq $8, %rsp\n    call " note "\n    addq $8, %rsp\n"                                              \
    "    popq %r9\n    popq %r8\n    popq %rcx\n    popq %rdx\n    popq %rsi\n    popq %rdi\n"

__asm__(
    ".text\n"
    ".globl prctl, syscall\n"
    ".type prctl, @function\n"
    ".type syscall, @function\n"
    ".p2align 4\n"
    "prctl:\n"
    "    cmpl $22, %edi\n"
    "    je 1f\n"
    "    movq outrider_next_prctl(%rip), %r11\n"
    "    testq %r11, %r11\n"
    "    je 1f\n"
    "    jmpq *%r11\n"
    "1:\n" NOTED("outrider_note_prctl")
    "    jmpq *outrider_next_prctl(%rip)\n"
    ".size prctl, . - prctl\n"
    ".p2align 4\n"
    "syscall:\n"
    "    cmpq $317, %rdi\n"
    "    je 1f\n"
    "    cmpq $157, %rdi\n"
    "    je 1f\n"
    "    movq outrider_next_syscall(%rip), %r11\n"
    "    testq %r11, %r11\n"
    "    je 1f\n"
    "    jmpq *%r11\n"
    "1:\n" NOTED("outrider_note_syscall")
    "    jmpq *outrider_next_syscall(%rip)\n"
    ".size syscall, . - syscall\n");

#endif
