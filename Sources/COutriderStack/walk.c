/* SPDX-License-Identifier: Apache-2.0
 * The walk itself, and the bounds that make it safe.
 *
 * A frame pointer that is none is the rule in foreign code, not the exception: it may hold anything.
 * So nothing is read but what lies on the thread's own stack between the frame where the walk began
 * and the stack's end, and each step has to rise. The bounds come from the kernel, not from
 * pthread_getattr_np(3): that one holds a lock while it allocates, so a hook that called it from
 * inside of it would wait for itself.
 */
#define _GNU_SOURCE
#include "outrider_stack.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The mark of a frame that belongs to an async function (Swift ABI: "swift async frame pointer"). */
#define ASYNC_FRAME ((uintptr_t)1 << 60)
/* Return addresses below the first pages are none. */
#define LOWEST_CODE ((uintptr_t)4096)
/* Room for the main thread's stack to grow where its limit is infinite: what the kernel keeps free. */
#define MAIN_STACK_ROOM ((uintptr_t)64 << 20)

#if defined(__linux__)

/* Exported by ld.so: where the main thread's stack began. Absent on musl. */
extern void *__libc_stack_end __attribute__((weak));

/* A reader of /proc/thread-self/maps that needs no memory but this. */
typedef struct {
    int descriptor;
    size_t at;
    size_t end;
    char buffer[1024];
} map_reader;

static int next_character(map_reader *reader) {
    if (reader->at == reader->end) {
        long count;
        do {
            count = syscall(SYS_read, reader->descriptor, reader->buffer, sizeof reader->buffer);
        } while (count < 0 && errno == EINTR);
        if (count <= 0) return -1;
        reader->at = 0;
        reader->end = (size_t)count;
    }
    return (unsigned char)reader->buffer[reader->at++];
}

/* Reads a hexadecimal number and the character behind it. */
static int read_number(map_reader *reader, uintptr_t *number) {
    *number = 0;
    for (;;) {
        int c = next_character(reader);
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return c;
        *number = *number << 4 | (uintptr_t)digit;
    }
}

/* A mapping, and what is to be known of it. */
typedef struct {
    uintptr_t low;
    uintptr_t high;
    int is_stack;   /* the kernel calls it the main thread's */
    int is_guarded; /* the one below may not be touched, and there is no gap */
} mapping;

/* Reads the rest of a line; -1 at the end of the file. Whether the mapping may not be touched is in its first
 * three letters, whether it is the main thread's stack in its last word. */
static int read_rest(map_reader *reader, int *is_none, int *is_stack) {
    static const char stack_name[] = "[stack]\n";
    size_t matched = 0, at = 0;
    int c;
    *is_none = 1;
    while ((c = next_character(reader)) >= 0) {
        if (at++ < 3 && c != '-') *is_none = 0;
        matched = c == stack_name[matched] ? matched + 1 : c == '[';
        if (c == '\n') break;
    }
    *is_stack = matched == sizeof stack_name - 1;
    return c;
}

/* Finds the mapping that contains `address`; 1 if there is one. */
static int find_mapping(uintptr_t address, mapping *into) {
    map_reader reader = {.at = 0, .end = 0};
    /* By syscall(2), since open(2) and read(2) are points where a thread can be cancelled. */
    reader.descriptor =
        (int)syscall(SYS_openat, AT_FDCWD, "/proc/thread-self/maps", O_RDONLY | O_CLOEXEC);
    if (reader.descriptor < 0) return 0;
    int found = 0, is_none = 0;
    uintptr_t guard_end = 0;
    while (!found) {
        if (read_number(&reader, &into->low) != '-' || read_number(&reader, &into->high) != ' ') break;
        found = address >= into->low && address < into->high;
        int c = read_rest(&reader, &is_none, &into->is_stack);
        into->is_guarded = guard_end == into->low;
        guard_end = is_none ? into->high : 0;
        if (c < 0) break;
    }
    syscall(SYS_close, reader.descriptor);
    return found;
}

/* The thread that the process began with. Its descriptor lies in a mapping of its own, which the kernel joins
 * with any other that happens to lie beside it. */
static pthread_t first_thread;
__attribute__((constructor)) static void remember_first_thread(void) { first_thread = pthread_self(); }

/* A thread's own stack reaches from `address` to the thread's descriptor, which libc puts at the upper end, also
 * of a stack that it was given. Where there is a guard below, nothing else lies between the two. Where there is
 * none, the kernel may have joined it with other mappings, a coroutine's stack among them, and they may be gone
 * when they are read: then nothing is known. libc could be asked, but it locks what it is asked about. */
static int is_own_stack(uintptr_t address, uintptr_t self, const mapping *found) {
    return found->is_guarded && self > address && self < found->high
        && self != (uintptr_t)first_thread;
}

outrider_stack_bounds outrider_stack_find_bounds(uintptr_t address) {
    outrider_stack_bounds none = {0, 0};
    mapping found;
    int saved = errno;
    int is_found = find_mapping(address, &found);
    errno = saved;
    if (!is_found) return none;

    uintptr_t self = (uintptr_t)pthread_self(), low = found.low, high = found.high;
    if (is_own_stack(address, self, &found)) return (outrider_stack_bounds){low, self};

    uintptr_t start = &__libc_stack_end ? (uintptr_t)__libc_stack_end : 0;
    if (found.is_stack || (start >= low && start < high && address < start)) {
        struct rlimit limit;
        uintptr_t room = MAIN_STACK_ROOM;
        if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
            room = (uintptr_t)limit.rlim_cur;
        errno = saved;
        uintptr_t lowest = high > room ? high - room : 0;
        return (outrider_stack_bounds){lowest < low ? lowest : low, high};
    }
    return none;
}

int outrider_stack_read_memory(uintptr_t address, void *into, size_t size) {
    struct iovec local = {into, size};
    struct iovec remote = {(void *)address, size};
    int saved = errno;
    long count = syscall(SYS_process_vm_readv, (long)getpid(), &local, 1ul, &remote, 1ul, 0ul);
    errno = saved;
    return count == (long)size;
}

#else

outrider_stack_bounds outrider_stack_find_bounds(uintptr_t address) {
    (void)address;
    return (outrider_stack_bounds){0, 0};
}

int outrider_stack_read_memory(uintptr_t address, void *into, size_t size) {
    (void)address, (void)into, (void)size;
    return 0;
}

#endif

/* The header of every async context (Swift ABI). */
typedef struct {
    uintptr_t parent;
    uintptr_t resume_parent;
} async_context;

/* Follows the callers of an async function. Contexts lie on the heap and are read as memory that may be
 * gone, by a system call each: 1 to 2 us. */
static size_t walk_contexts(
    uintptr_t address, uintptr_t *pcs, size_t count, size_t limit, outrider_stack_end *end) {
    async_context context;
    *end = OUTRIDER_STACK_WHOLE;
    while (address != 0) {
        if (count == limit || (address & 7) != 0
            || !outrider_stack_read_memory(address, &context, sizeof context)) {
            *end = OUTRIDER_STACK_TRUNCATED;
            break;
        }
        if (context.resume_parent < LOWEST_CODE) break;
        /* The start of a function, where all others are return addresses: readers take one off. */
        pcs[count++] = context.resume_parent + 1;
        address = context.parent;
    }
    return count;
}

static int is_on_stack(uintptr_t address, outrider_stack_point point, outrider_stack_bounds bounds) {
    return address >= point.sp && address < bounds.high && bounds.high - address >= 16
        && (address & 7) == 0;
}

size_t outrider_stack_walk(
    outrider_stack_point from, outrider_stack_bounds bounds, uintptr_t *pcs, size_t limit,
    outrider_stack_end *end) {
    outrider_stack_point point = from;
    size_t count = 0;
    *end = OUTRIDER_STACK_TRUNCATED;
    if (limit == 0) return 0;
    pcs[count++] = point.pc;
    if (point.sp < bounds.low || point.sp >= bounds.high) return count;

    while (count < limit) {
        int stepped = outrider_stack_table_step(&point, bounds);
        if (stepped < 0) {
            *end = OUTRIDER_STACK_WHOLE;
            return count;
        }
        if (stepped == 0) {
            uintptr_t frame = point.fp & ~ASYNC_FRAME;
            if (frame == 0) {
                *end = OUTRIDER_STACK_WHOLE;
                return count;
            }
            if (!is_on_stack(frame, point, bounds)) return count;
            const uintptr_t *record = (const uintptr_t *)frame;
            if (record[0] & ASYNC_FRAME && frame - 8 >= bounds.low)
                return walk_contexts(record[-1], pcs, count, limit, end);
            point = (outrider_stack_point){record[1], frame + 16, record[0]};
        }
        if (point.pc < LOWEST_CODE) {
            if (point.pc == 0) *end = OUTRIDER_STACK_WHOLE;
            return count;
        }
        pcs[count++] = point.pc;
    }
    return count;
}
