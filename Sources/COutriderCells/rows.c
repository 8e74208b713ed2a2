// SPDX-License-Identifier: Apache-2.0
// Memory for per-CPU rows, and the number of possible CPUs.

#define _GNU_SOURCE
#include "outrider_cells.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/// With more CPUs than this, there are no rows.
#define MOST_CPUS 4096

/// Defined only in a process under the thread sanitizer.
extern void __tsan_init(void) __attribute__((weak));

#if OUTRIDER_HAS_RSEQ
/// The highest CPU number that the kernel can ever use, plus one; 0 if unknown or too high.
///
/// Source: /sys/devices/system/cpu/possible, a list such as 0-63; cputopology.rst of the kernel.
static uint32_t possible_cpus(void) {
    int file = open("/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    char text[256];
    ssize_t length = read(file, text, sizeof text);
    close(file);
    uint32_t number = 0;
    for (ssize_t index = 0; index < length && text[index] != '\n'; index++) {
        char digit = text[index];
        if (digit < '0' || digit > '9') {
            number = 0;
        } else if (number <= MOST_CPUS) {
            number = number * 10 + (uint32_t)(digit - '0');
        }
    }
    return length <= 0 || number >= MOST_CPUS ? 0 : number + 1;
}
#endif

uint32_t outrider_rows_cpus(void) {
#if OUTRIDER_HAS_RSEQ
    if (&__rseq_offset == NULL || __tsan_init != NULL || !outrider_cpu_is_known()) return 0;
    return possible_cpus();
#else
    return 0;
#endif
}

static size_t size_of(uint32_t cpus) {
    return ((size_t)cpus + OUTRIDER_FIRST_ROWS) << OUTRIDER_ROW_SHIFT;
}

void *outrider_rows_map(uint32_t cpus) {
    size_t size = size_of(cpus);
    int protection = PROT_READ | PROT_WRITE;
    void *rows = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (rows == MAP_FAILED) return NULL;
    if ((uintptr_t)rows >> OUTRIDER_POINTER_BITS != 0) {
        munmap(rows, size);
        return NULL;
    }
#ifdef MADV_NOHUGEPAGE
    // A huge page would give memory to CPUs that never touch their row.
    madvise(rows, size, MADV_NOHUGEPAGE);
#endif
    return rows;
}

void outrider_rows_unmap(void *rows, uint32_t cpus) { munmap(rows, size_of(cpus)); }

int outrider_rows_resident(const void *rows, uint32_t cpus) {
    int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    int count = 0;
    uintptr_t first = (uintptr_t)rows >> OUTRIDER_ROW_SHIFT;
    for (uint32_t row = 0; row < cpus + OUTRIDER_FIRST_ROWS && count >= 0; row++) {
        uint64_t entry;
        off_t offset = (off_t)((first + row) * sizeof entry);
        if (pread(file, &entry, sizeof entry, offset) != sizeof entry) {
            count = -1;
        } else {
            // Bit 63: the page is present.
            count += (int)(entry >> 63);
        }
    }
    close(file);
    return count;
}
