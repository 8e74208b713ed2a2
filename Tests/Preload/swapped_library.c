/* SPDX-License-Identifier: Apache-2.0
 * A library for swapped.c, with a function named by the macro NAME. */
#include "expect.h"

__attribute__((noinline)) void *NAME(size_t size);
void *NAME(size_t size) { return kept(malloc(size)); }

void *swapped_allocate(size_t size);
void *swapped_allocate(size_t size) { return kept(NAME(size)); }
