/* SPDX-License-Identifier: Apache-2.0
 * The stack walk, and the bounds that make it safe.
 *
 * In foreign code an invalid frame pointer is the rule, not the exception: it may hold any value.
 * So the walk reads only the thread's own stack, between the first frame and the stack's end, and
 * each step must move upwards.
 *
 * The bounds come from memory alone. pthread_getattr_np(3) holds a lock while it allocates, so a
 * hook called from within it would deadlock. The kernel's list of mappings requires system calls,
 * which kill a process that has confined itself, and takes tens of milliseconds if there are many
 * mappings.
 */
#define _GNU_SOURCE
#include "outrider_stack.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The mark of a frame of an async function (Swift ABI: "swift async frame pointer"). Code without
 * frame pointers keeps other values in that register; negative ones have all upper bits set. */
#define ASYNC_FRAME ((uintptr_t)1 << 60)
#define IS_ASYNC(frame) ((frame) >> 60 == 1)
/* Values within the first page are not return addresses. */
#define LOWEST_CODE ((uintptr_t)4096)

#if defined(__linux__)

/* From <linux/futex.h>, which not every C library includes. */
enum { CMP_REQUEUE_PRIVATE = 4 | 128 };

/* Room for the main thread's stack if its limit is infinite. The kernel then keeps more than half
 * of the address space free, and programs have stacks of gigabytes. */
#define MAIN_STACK_ROOM ((uintptr_t)1 << (sizeof(uintptr_t) == 8 ? 40 : 26))
/* Maximum distance from a thread's descriptor to the end of its stack: the size of the descriptor
 * and, on some architectures, of the thread's variables. */
#define MOST_ABOVE ((uintptr_t)1 << 20)
/* No stack starts below this address, and no thread id is larger (PID_MAX_LIMIT). */
#define LOWEST_STACK ((uintptr_t)4 << 20)
/* Words of a thread's descriptor to search: fewer than it has. */
#if defined(__GLIBC__)
enum { DESCRIPTOR_WORDS = 256 };
#else
enum { DESCRIPTOR_WORDS = 24 };
#endif

/* Exported by ld.so: the start of the main thread's stack. Absent on musl. */
extern void *__libc_stack_end __attribute__((weak));

/* The maximum size of the main thread's stack, as the kernel laid out the process. */
static uintptr_t main_stack_room = (uintptr_t)8 << 20;

__attribute__((constructor)) static void read_stack_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) != 0) return;
    main_stack_room = limit.rlim_cur == RLIM_INFINITY ? MAIN_STACK_ROOM : (uintptr_t)limit.rlim_cur;
}

/* Finds a thread's stack in its descriptor.
 *
 * The descriptor is at the upper end of the stack, also of a user-supplied one. It contains the
 * start of the stack and, in the next word, its size (glibc's stackblock and stackblock_size,
 * musl's map_base and map_size). No other two consecutive words describe a range that ends just
 * after the descriptor: they are pointers, two of which never form that sum, and numbers below
 * LOWEST_STACK, such as the thread's id, which precedes a pointer into the descriptor. The range
 * belongs to the thread as long as it lives. The main thread has no such range. */
static outrider_stack_bounds stack_of_descriptor(uintptr_t self) {
    const uintptr_t *words = (const uintptr_t *)self;
    for (size_t each = 0; each + 1 < DESCRIPTOR_WORDS; each++) {
        uintptr_t low = words[each], size = words[each + 1];
        if (low >= LOWEST_STACK && low < self && size > self - low && size - (self - low) <= MOST_ABOVE)
            return (outrider_stack_bounds){low, self};
    }
    return (outrider_stack_bounds){0, 0};
}

/* The bounds of the main thread's stack. Nothing else is ever mapped in the room reserved for it. */
static outrider_stack_bounds stack_of_main_thread(void) {
    uintptr_t high = &__libc_stack_end ? (uintptr_t)__libc_stack_end : 0;
    return (outrider_stack_bounds){high > main_stack_room ? high - main_stack_room : 0, high};
}

outrider_stack_bounds outrider_stack_find_bounds(uintptr_t address) {
    /* The thread's own stack first: it may be a part of the main thread's stack. */
    outrider_stack_bounds own = stack_of_descriptor((uintptr_t)pthread_self());
    if (address >= own.low && address < own.high) return own;
    outrider_stack_bounds main = stack_of_main_thread();
    if (address >= main.low && address < main.high) return main;
    return (outrider_stack_bounds){0, 0};
}

/* Whether the word that contains an address is readable. The kernel compares it with a value, which
 * changes nothing and wakes no thread (futex(2)); malloc itself makes this system call under
 * contention. */
static int is_there(uintptr_t address) {
    uintptr_t word = address & ~(uintptr_t)3;
    return syscall(SYS_futex, word, CMP_REQUEUE_PRIVATE, 0ul, 0ul, word, 0u) >= 0
        || errno == EAGAIN;
}

#if defined(__clang__)
__attribute__((no_sanitize("address", "thread", "memory")))
#endif
static void copy_bytes(uintptr_t address, volatile char *into, size_t size) {
    for (size_t each = 0; each < size; each++) into[each] = ((const volatile char *)address)[each];
}

int outrider_stack_read_memory(uintptr_t address, void *into, size_t size) {
    const uintptr_t page = 4096;
    if (size == 0) return 1;
    uintptr_t last = address + size - 1;
    if (last < address || size > page) return 0;
    int saved = errno;
    int is_all_there = is_there(address) && (address / page == last / page || is_there(last));
    errno = saved;
    if (is_all_there) copy_bytes(address, into, size);
    return is_all_there;
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

/* Follows the callers of an async function. Contexts are on the heap and are read as memory that
 * may be unmapped, with one system call each. */
static size_t walk_contexts(
    uintptr_t address, uintptr_t *pcs, size_t count, size_t limit, outrider_stack_end *end) {
    async_context context;
    end->is_truncated = 0;
    while (address != 0) {
        if (count == limit || (address & 7) != 0
            || !outrider_stack_read_memory(address, &context, sizeof context)) {
            end->is_truncated = 1;
            break;
        }
        if (context.resume_parent < LOWEST_CODE) break;
        end->contexts++;
        /* This is a function's start, not a return address. Readers subtract one, so one is added. */
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
    *end = (outrider_stack_end){.is_truncated = 1};
    if (limit == 0) return 0;
    pcs[count++] = point.pc;
    if (point.sp < bounds.low || point.sp >= bounds.high) return count;

    while (count < limit) {
        int stepped = outrider_stack_table_step(&point, bounds);
        if (stepped < 0) {
            end->is_truncated = 0;
            return count;
        }
        if (stepped == 0) {
            uintptr_t frame = IS_ASYNC(point.fp) ? point.fp & ~ASYNC_FRAME : point.fp;
            if (frame == 0) {
                end->is_truncated = 0;
                return count;
            }
            if (!is_on_stack(frame, point, bounds)) return count;
            const uintptr_t *record = (const uintptr_t *)frame;
            if (IS_ASYNC(record[0]) && frame - 8 >= bounds.low)
                return walk_contexts(record[-1], pcs, count, limit, end);
            point = (outrider_stack_point){record[1], frame + 16, record[0]};
        }
        if (point.pc < LOWEST_CODE) {
            if (point.pc == 0) end->is_truncated = 0;
            return count;
        }
        pcs[count++] = point.pc;
    }
    return count;
}
