/* SPDX-License-Identifier: Apache-2.0
 * mallinfo2(3): statistics of glibc's allocator.
 *
 * It walks every free chunk under the lock of its arena, which blocks threads of the service that
 * allocate: 100 ms for 200 MB of freed blocks. So it is called only if the service enables it
 * (MemoryCollector.swift).
 */
#include <malloc.h>

#include "outrider_runtime.h"

#if defined(__GLIBC__)
extern struct mallinfo2 mallinfo2(void) __attribute__((weak));

int outrider_allocator_read(outrider_allocator_usage *into) {
    if (!mallinfo2) return 0;
    struct mallinfo2 info = mallinfo2();
    *into = (outrider_allocator_usage){info.arena, info.hblkhd, info.uordblks, info.fordblks};
    /* Zero if another allocator is in use. */
    return info.arena + info.hblkhd != 0;
}
#else
int outrider_allocator_read(outrider_allocator_usage *into) {
    (void)into;
    return 0;
}
#endif
