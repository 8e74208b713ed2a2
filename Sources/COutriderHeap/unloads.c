/* SPDX-License-Identifier: Apache-2.0
 * Unloaded libraries: a hook for dlclose, and the new addresses of their stacks.
 *
 * A stack is identified by its addresses, and another library may be loaded where one was unloaded.
 * So when a library is unloaded, its part of each stack moves to a new range
 * (outrider_modules_update), along with the totals of the stack. The old stack stays without
 * totals. A plug-in that is loaded and unloaded repeatedly takes two sites per stack, however
 * often.
 */
#define _GNU_SOURCE
#include "hooked.h"

#if OUTRIDER_HEAP_TABLES
#include "blocks.h"
#include "sites.h"

#include "outrider_stack.h"

#include <string.h>

/* Moves a stack; false if none of its addresses is in [start, end). */
static bool move_stack(const outrider_heap_site *site, uintptr_t start, uintptr_t end, uintptr_t by, uintptr_t *pcs) {
    bool is_moved = false;
    for (uint32_t frame = 0; frame < site->depth; frame++) {
        /* The call is before its return address. */
        uintptr_t call = site->pcs[frame] - 1;
        bool is_inside = call >= start && call < end;
        pcs[frame] = site->pcs[frame] + (is_inside ? by : 0);
        is_moved |= is_inside;
    }
    return is_moved;
}

uint32_t outrider_heap_sites_move(uintptr_t start, uintptr_t end, uintptr_t to) {
    /* For each site: its new site plus one, or 0. */
    static uint32_t changed[SITE_LIMIT];
    uint32_t count = outrider_heap_site_count(), refused = 0;
    bool is_any = false;
    for (uint32_t index = 1; index < count; index++) {
        outrider_heap_site site;
        uintptr_t pcs[OUTRIDER_STACK_DEPTH];
        changed[index] = 0;
        if (!outrider_heap_read_site(index, &site)) continue;
        if (!(site.allocated_objects | site.allocated_bytes | site.live_objects | site.live_bytes)) continue;
        if (!move_stack(&site, start, end, to - start, pcs)) continue;
        uint32_t moved = outrider_heap_sites_find(pcs, site.depth, site.is_truncated);
        refused += moved == 0;
        changed[index] = moved + 1;
        outrider_heap_sites_give_allocated(index, moved);
        is_any = true;
    }
    if (is_any) outrider_heap_blocks_change_sites(changed, count);
    return refused;
}
#endif

#if OUTRIDER_HEAP_HOOKED
#include "sampler.h"

#include "outrider_symbols.h"

#include <dlfcn.h>
#include <stdatomic.h>

static void move_stacks(uintptr_t start, uintptr_t end, uintptr_t to) {
    for (uint32_t refused = outrider_heap_sites_move(start, end, to); refused; refused--)
        outrider_heap_count_refused_site();
}

void outrider_heap_update_modules(void) {
    /* Without sites there is nothing to move. */
    if (!outrider_heap_site_count()) return;
    outrider_heap_enter_tables();
    outrider_modules_update(move_stacks);
    outrider_heap_leave_tables();
}

/* Interposes libc's dlclose, which does not depend on its caller. Between the two looks no library
 * can be loaded at the address of the unloaded one, unless another thread does so at that very
 * moment. */
EXPORTED int dlclose(void *library) {
    static int (*_Atomic next)(void *);
    int (*behind)(void *) = atomic_load_explicit(&next, memory_order_relaxed);
    if (!behind) {
        behind = (int (*)(void *))dlsym(RTLD_NEXT, "dlclose");
        atomic_store_explicit(&next, behind, memory_order_relaxed);
    }
    outrider_heap_update_modules();
    int result = behind ? behind(library) : -1;
    outrider_heap_update_modules();
    return result;
}
#endif
