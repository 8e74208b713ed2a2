/* SPDX-License-Identifier: Apache-2.0
 * The hooks under names that cannot be interposed. */
#ifndef OUTRIDER_HEAP_HOOKS_H
#define OUTRIDER_HEAP_HOOKS_H

#include "hooked.h"

#include <stddef.h>

void *outrider_heap_malloc(size_t size) HIDDEN;
void outrider_heap_free(void *block) HIDDEN;

#endif
