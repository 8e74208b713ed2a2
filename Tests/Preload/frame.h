/* SPDX-License-Identifier: Apache-2.0
 * Calls malloc(size) with an arbitrary frame pointer, as code without frame pointers may. */
#ifndef FRAME_H
#define FRAME_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
void *malloc_with_frame(size_t size, uintptr_t frame);
__asm__(
    ".text\n"
    ".globl malloc_with_frame\n"
    ".type malloc_with_frame, @function\n"
    "malloc_with_frame:\n"
    "    pushq %rbp\n"
    "    movq %rsi, %rbp\n"
    "    call malloc@PLT\n"
    "    popq %rbp\n"
    "    ret\n"
    ".size malloc_with_frame, . - malloc_with_frame\n");
#endif

#endif
