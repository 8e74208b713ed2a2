/* SPDX-License-Identifier: Apache-2.0
 * The ranges of libraries, and the system calls that wait.
 *
 * A system call that a signal interrupted shows in the registers (signal(7), "Interruption of system calls"). If it is
 * to begin again after the handler, the program counter is back at its instruction, beside its number; else it has
 * returned EINTR right before.
 */
#define _GNU_SOURCE
#include "moment.h"

#include "outrider_heap.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <ucontext.h>

typedef struct {
    uintptr_t start, end;
} range;

enum { MOST_RANGES = 8 };
static range ranges[MOST_RANGES];
static size_t range_count;

/* --- where the thread was --------------------------------------------------------------------------- */

/* Addresses in libc, in its part for threads where that is a file of its own, and in the loader. */
typedef struct {
    uintptr_t addresses[3];
    const char *allocator;
} wanted;

static uintptr_t address_of(const char *name) { return (uintptr_t)dlsym(RTLD_NEXT, name); }

static int add_range(struct dl_phdr_info *info, size_t size, void *argument) {
    (void)size;
    const wanted *all = argument;
    range found = {UINTPTR_MAX, 0};
    for (size_t each = 0; each < info->dlpi_phnum; each++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[each];
        if (part->p_type != PT_LOAD) continue;
        uintptr_t start = info->dlpi_addr + part->p_vaddr, end = start + part->p_memsz;
        if (start < found.start) found.start = start;
        if (end > found.end) found.end = end;
    }
    bool is_wanted = info->dlpi_name && strcmp(info->dlpi_name, all->allocator) == 0;
    for (size_t each = 0; each < sizeof all->addresses / sizeof *all->addresses; each++)
        is_wanted |= all->addresses[each] >= found.start && all->addresses[each] < found.end;
    if (is_wanted && range_count < MOST_RANGES) ranges[range_count++] = found;
    return 0;
}

static bool is_in_libraries(uintptr_t pc) {
    for (size_t each = 0; each < range_count; each++)
        if (pc >= ranges[each].start && pc < ranges[each].end) return true;
    return false;
}

/* --- what it waited for ----------------------------------------------------------------------------- */

/* The system calls that may take long and that no allocator and no loader makes halfway through a change. */
static bool may_wait_long(long number) {
    switch (number) {
#if defined(SYS_poll)
    case SYS_poll: case SYS_select: case SYS_pause: case SYS_epoll_wait:
#endif
    case SYS_ppoll: case SYS_pselect6: case SYS_epoll_pwait: case SYS_nanosleep: case SYS_clock_nanosleep:
    case SYS_read: case SYS_readv: case SYS_write: case SYS_writev: case SYS_accept: case SYS_accept4:
    case SYS_connect: case SYS_recvfrom: case SYS_recvmsg: case SYS_sendto: case SYS_sendmsg: case SYS_wait4:
    case SYS_waitid: case SYS_rt_sigsuspend: case SYS_rt_sigtimedwait: case SYS_flock: case SYS_fcntl:
    case SYS_semop: case SYS_semtimedop: case SYS_msgrcv: case SYS_msgsnd: case SYS_mq_timedreceive:
    case SYS_mq_timedsend: case SYS_io_getevents: case SYS_restart_syscall:
        return true;
    /* Where there are several threads, one may wait for a lock of these while it holds another. */
    case SYS_futex: return __libc_single_threaded;
    default: return false;
    }
}

typedef struct {
    uintptr_t pc;
    long number; /* of the system call that begins here */
    long result; /* of the one that ended here */
} registers;

#if defined(__x86_64__)

static const unsigned char call_instruction[] = {0x0f, 0x05};

static registers registers_of(const ucontext_t *context) {
    const greg_t *all = context->uc_mcontext.gregs;
    return (registers){(uintptr_t)all[REG_RIP], (long)all[REG_RAX], (long)all[REG_RAX]};
}

#elif defined(__aarch64__)

static const unsigned char call_instruction[] = {0x01, 0x00, 0x00, 0xd4};

static registers registers_of(const ucontext_t *context) {
    const mcontext_t *all = &context->uc_mcontext;
    return (registers){(uintptr_t)all->pc, (long)all->regs[8], (long)all->regs[0]};
}

#endif

#if defined(__x86_64__) || defined(__aarch64__)

static bool is_call(uintptr_t pc) {
    return memcmp((const void *)pc, call_instruction, sizeof call_instruction) == 0;
}

bool outrider_moment_prepare(void) {
    wanted all = {
        {address_of("gnu_get_libc_version"), address_of("pthread_create"), address_of("__tls_get_addr")},
        outrider_heap_allocator()};
    range_count = 0;
    dl_iterate_phdr(add_range, &all);
    return true;
}

bool outrider_moment_allows_threads(const void *context) {
    registers here = registers_of(context);
    if (!is_in_libraries(here.pc)) return true;
    /* Code of libraries, which can be read. */
    if (is_call(here.pc)) return may_wait_long(here.number);
    return here.result == -EINTR && is_call(here.pc - sizeof call_instruction);
}

#else

bool outrider_moment_prepare(void) { return false; }

bool outrider_moment_allows_threads(const void *context) {
    (void)context;
    return false;
}

#endif
