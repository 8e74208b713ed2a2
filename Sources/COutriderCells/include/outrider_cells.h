// SPDX-License-Identifier: Apache-2.0
// Per-CPU numbers: adding without a lock and without a locked bus cycle.
//
// A restartable sequence (rseq(2)) reads the current CPU number and adds to that CPU's copy. If the
// kernel takes the thread off its CPU before the add, the thread resumes at an abort handler: here,
// at an atomic add to the shared copy. So each sequence completes at most once, and nothing is
// lost. glibc (2.35 and later) registers every thread. Where it does not, under valgrind and on
// other systems, there is no CPU number, and only the shared copy is used.
//
// Copies are stored in rows of one page each, at the same offset of every row:
//
//     row 0    shared by all CPUs   added to by atomic adds
//     row 1    data of the owner
//     row 2+n  CPU n                added to by CPU n alone; an untouched page takes no memory
//
// Sources: linux/rseq.h; the glibc manual, "Restartable Sequences"; sys/rseq.h for the signature.
#ifndef OUTRIDER_CELLS_H
#define OUTRIDER_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A row is a page: 512 words.
#define OUTRIDER_ROW_SHIFT 12
/// The number of rows before that of CPU 0.
#define OUTRIDER_FIRST_ROWS 2
/// A row pointer is the address of a word in row 0, with the number of CPUs above these
/// bits, and 1 in the lowest bit, which is 0 in the address of a word.
#define OUTRIDER_POINTER_BITS 48

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))
#define OUTRIDER_HAS_RSEQ 1
/// The offset from the thread pointer to the thread's struct rseq; missing in other C libraries.
extern const ptrdiff_t __rseq_offset __attribute__((weak));
#endif

/// The number of CPUs that may have a row: as many as the machine can ever have. 0 if this thread
/// has no restartable sequences, and under the thread sanitizer, which cannot see them.
uint32_t outrider_rows_cpus(void);

/// Maps rows for this many CPUs, all zero; NULL if there is no memory.
void *outrider_rows_map(uint32_t cpus);
void outrider_rows_unmap(void *rows, uint32_t cpus);

/// The number of rows that have memory; negative if unknown (pagemap of proc(5)).
int outrider_rows_resident(const void *rows, uint32_t cpus);

/// The word of a row pointer in row 0.
static inline uint64_t *outrider_rows_shared(uint64_t pointer) {
    return (uint64_t *)(uintptr_t)(pointer & ((UINT64_C(1) << OUTRIDER_POINTER_BITS) - 8));
}

/// The number of CPUs that have a row.
static inline uint64_t outrider_rows_limit(uint64_t pointer) {
    return pointer >> OUTRIDER_POINTER_BITS;
}

/// The word of a row pointer in the row of CPU 0.
static inline uint64_t *outrider_rows_first(uint64_t pointer) {
    return outrider_rows_shared(pointer) + ((OUTRIDER_FIRST_ROWS << OUTRIDER_ROW_SHIFT) / 8);
}

#if OUTRIDER_HAS_RSEQ && defined(__x86_64__)

// The descriptor of the sequence from label 1 to 2, whose abort handler is at 4; and the handler
// itself, after the signature that the kernel requires (an instruction that is never executed).
#define OUTRIDER_RSEQ_BEGIN                                                                        \
    ".pushsection __rseq_cs, \"aw\"\n\t"                                                           \
    ".balign 32\n\t"                                                                               \
    "3: .long 0, 0\n\t"                                                                            \
    ".quad 1f, 2f - 1f, 4f\n\t"                                                                    \
    ".popsection\n\t"                                                                              \
    "leaq 3b(%%rip), %%rax\n\t"                                                                    \
    "movq %%rax, %%fs:8(%[area])\n\t"                                                              \
    "1:\n\t"                                                                                       \
    "movl %%fs:4(%[area]), %%eax\n\t"                                                              \
    "cmpl %k[limit], %%eax\n\t"                                                                    \
    "jae %l[elsewhere]\n\t"                                                                        \
    "shlq $12, %%rax\n\t"
#define OUTRIDER_RSEQ_END                                                                          \
    "2:\n\t"                                                                                       \
    ".pushsection __rseq_failure, \"ax\"\n\t"                                                      \
    ".byte 0x0f, 0xb9, 0x3d\n\t"                                                                   \
    ".long 0x53053053\n\t"                                                                         \
    "4: jmp %l[elsewhere]\n\t"                                                                     \
    ".popsection\n\t"

/// Adds to this CPU's copy; false if that was not possible.
static inline __attribute__((always_inline)) bool outrider_rows_add(
    uint64_t pointer, uint64_t amount) {
    uint64_t limit = outrider_rows_limit(pointer);
    if (limit == 0) return false;
    __asm__ goto(OUTRIDER_RSEQ_BEGIN "addq %[amount], (%[row], %%rax)\n\t" OUTRIDER_RSEQ_END
                 :
                 : [area] "r"(__rseq_offset), [limit] "r"(limit),
                   [row] "r"(outrider_rows_first(pointer)), [amount] "er"(amount)
                 : "rax", "memory", "cc"
                 : elsewhere);
    return true;
elsewhere:
    return false;
}

/// The same for a double.
static inline __attribute__((always_inline)) bool outrider_rows_add_double(
    uint64_t pointer, double amount) {
    uint64_t limit = outrider_rows_limit(pointer);
    if (limit == 0) return false;
    __asm__ goto(OUTRIDER_RSEQ_BEGIN
                 "movsd (%[row], %%rax), %%xmm15\n\t"
                 "addsd %[amount], %%xmm15\n\t"
                 "movsd %%xmm15, (%[row], %%rax)\n\t" OUTRIDER_RSEQ_END
                 :
                 : [area] "r"(__rseq_offset), [limit] "r"(limit),
                   [row] "r"(outrider_rows_first(pointer)), [amount] "x"(amount)
                 : "rax", "xmm15", "memory", "cc"
                 : elsewhere);
    return true;
elsewhere:
    return false;
}

#elif OUTRIDER_HAS_RSEQ

#define OUTRIDER_RSEQ_BEGIN                                                                        \
    ".pushsection __rseq_cs, \"aw\"\n\t"                                                           \
    ".balign 32\n\t"                                                                               \
    "3: .long 0, 0\n\t"                                                                            \
    ".quad 1f, 2f - 1f, 4f\n\t"                                                                    \
    ".popsection\n\t"                                                                              \
    "adrp x16, 3b\n\t"                                                                             \
    "add x16, x16, :lo12:3b\n\t"                                                                   \
    "str x16, [%[area], #8]\n\t"                                                                   \
    "1:\n\t"                                                                                       \
    "ldr w16, [%[area], #4]\n\t"                                                                   \
    "cmp w16, %w[limit]\n\t"                                                                       \
    "b.hs %l[elsewhere]\n\t"                                                                       \
    "add x16, %[row], x16, lsl #12\n\t"
#define OUTRIDER_RSEQ_END                                                                          \
    "2:\n\t"                                                                                       \
    ".pushsection __rseq_failure, \"ax\"\n\t"                                                      \
    ".inst 0xd428bc00\n\t"                                                                         \
    "4: b %l[elsewhere]\n\t"                                                                       \
    ".popsection\n\t"

static inline char *outrider_rseq_area(void) {
    char *thread;
    __asm__("mrs %0, tpidr_el0" : "=r"(thread));
    return thread + __rseq_offset;
}

/// Adds to this CPU's copy; false if that was not possible.
static inline __attribute__((always_inline)) bool outrider_rows_add(
    uint64_t pointer, uint64_t amount) {
    uint64_t limit = outrider_rows_limit(pointer);
    if (limit == 0) return false;
    __asm__ goto(OUTRIDER_RSEQ_BEGIN
                 "ldr x17, [x16]\n\t"
                 "add x17, x17, %[amount]\n\t"
                 "str x17, [x16]\n\t" OUTRIDER_RSEQ_END
                 :
                 : [area] "r"(outrider_rseq_area()), [limit] "r"(limit),
                   [row] "r"(outrider_rows_first(pointer)), [amount] "r"(amount)
                 : "x16", "x17", "memory", "cc"
                 : elsewhere);
    return true;
elsewhere:
    return false;
}

/// The same for a double.
static inline __attribute__((always_inline)) bool outrider_rows_add_double(
    uint64_t pointer, double amount) {
    uint64_t limit = outrider_rows_limit(pointer);
    if (limit == 0) return false;
    __asm__ goto(OUTRIDER_RSEQ_BEGIN
                 "ldr d31, [x16]\n\t"
                 "fadd d31, d31, %d[amount]\n\t"
                 "str d31, [x16]\n\t" OUTRIDER_RSEQ_END
                 :
                 : [area] "r"(outrider_rseq_area()), [limit] "r"(limit),
                   [row] "r"(outrider_rows_first(pointer)), [amount] "w"(amount)
                 : "x16", "v31", "memory", "cc"
                 : elsewhere);
    return true;
elsewhere:
    return false;
}

#else

static inline bool outrider_rows_add(uint64_t pointer, uint64_t amount) {
    (void)pointer, (void)amount;
    return false;
}

static inline bool outrider_rows_add_double(uint64_t pointer, double amount) {
    (void)pointer, (void)amount;
    return false;
}

#endif

/// The CPU that this thread runs on, or ran on a moment ago; 0 where there is no fast way to know.
static inline uint32_t outrider_cpu(void) {
#if OUTRIDER_HAS_RSEQ && defined(__x86_64__)
    if (&__rseq_offset == NULL) return 0;
    uint32_t cpu;
    __asm__ volatile("movl %%fs:(%1), %0" : "=r"(cpu) : "r"(__rseq_offset));
    return cpu;
#elif OUTRIDER_HAS_RSEQ
    if (&__rseq_offset == NULL) return 0;
    return *(volatile uint32_t *)outrider_rseq_area();
#else
    return 0;
#endif
}

/// Whether the kernel keeps this thread's CPU number up to date.
static inline bool outrider_cpu_is_known(void) {
#if OUTRIDER_HAS_RSEQ && defined(__x86_64__)
    if (&__rseq_offset == NULL) return false;
    int32_t cpu;
    __asm__ volatile("movl %%fs:4(%1), %0" : "=r"(cpu) : "r"(__rseq_offset));
    return cpu >= 0;
#elif OUTRIDER_HAS_RSEQ
    if (&__rseq_offset == NULL) return false;
    return *(volatile int32_t *)(outrider_rseq_area() + 4) >= 0;
#else
    return false;
#endif
}

/// The number of `count` ascending bounds that are below a value: the index of its bucket.
///
/// Without a branch that depends on the value, because it would be unpredictable.
static inline size_t outrider_bucket(const double *bounds, size_t count, double value) {
    uint64_t below = 0;
    for (size_t index = 0; index < count; index++) below += bounds[index] < value;
    return below;
}

#endif
