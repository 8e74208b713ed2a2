/* SPDX-License-Identifier: Apache-2.0
 * What glibc's allocator says of itself: mallinfo2(3).
 *
 * It walks every free chunk under the lock of its arena, for which the host's threads wait that allocate:
 * 100 ms for 200 MB of freed blocks. So only where the host wants it (MemoryCollector.swift).
 */
#include <malloc.h>

#include "outrider_runtime.h"

#if defined(__GLIBC__)
extern struct mallinfo2 mallinfo2(void) __attribute__((weak));

int outrider_allocator_read(outrider_allocator_figures *into) {
    if (!mallinfo2) return 0;
    struct mallinfo2 info = mallinfo2();
    *into = (outrider_allocator_figures){info.arena, info.hblkhd, info.uordblks, info.fordblks};
    /* Another allocator is in its place: glibc's has nothing to tell. */
    return info.arena + info.hblkhd != 0;
}
#else
int outrider_allocator_read(outrider_allocator_figures *into) {
    (void)into;
    return 0;
}
#endif
