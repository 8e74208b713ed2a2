/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps by libc's unwind table on simulated stacks.
 *
 * The requirements: each rule is applied as defined, and whatever the registers hold, only the
 * stack above the stack pointer is read, and a step ends above it.
 */
#define _GNU_SOURCE
#include "unwind_module.h"

enum { random_steps = 1000000, words = 64 };

/* A return address is looked up by the call before it: after a call that does not return, another
 * rule may begin. */
static void test_return_addresses(void) {
  struct module module = find_module("libc.so.6");
  const outrider_unwind_table *table = outrider_unwind_build(&module.image);
  CHECK(table != NULL, "no table of libc");
  uintptr_t stack[words];
  for (uintptr_t each = 0; each < words; each++) stack[each] = each;
  outrider_stack_bounds bounds = {(uintptr_t)stack, (uintptr_t)(stack + words)};
  unsigned long edges = 0;
  for (size_t each = 1; each < table->span; each++) {
    outrider_unwind_rule before = outrider_unwind_find(table, each - 1);
    outrider_unwind_rule after = outrider_unwind_find(table, each);
    if (before.base != OUTRIDER_UNWIND_SP || before.words > words || before.words == 0) continue;
    if (after.base == before.base && after.words == before.words) continue;
    outrider_stack_point point = {module.image.text + each, bounds.low, words};
    CHECK(outrider_stack_table_step(&point, bounds) == 1, "no step at %#zx", each);
    CHECK(point.sp == (uintptr_t)(stack + before.words), "the rule after %#zx", each);
    CHECK(point.pc == before.words - 1U, "the return address at %#zx", each);
    /* A slot below the stack pointer has been popped. */
    bool stored = before.saved != 0 && before.saved <= before.words;
    CHECK(point.fp == (stored ? (uintptr_t)(before.words - before.saved) : words),
          "the frame pointer at %#zx", each);
    edges++;
  }
  CHECK(edges > 100, "%lu edges", edges);
  outrider_unwind_discard(table);
}

/* Random points in libc, on a stack between two inaccessible pages. */
static void test_fenced_stack(void) {
  struct module module = find_module("libc.so.6");
  const size_t page = 4096;
  uint8_t *memory = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED, "no memory");
  CHECK(mprotect(memory + page, page, PROT_READ | PROT_WRITE) == 0, "no fence");
  outrider_stack_bounds bounds = {(uintptr_t)memory + page, (uintptr_t)memory + 2 * page};
  unsigned long steps = 0;
  for (int each = 0; each < random_steps; each++) {
    outrider_stack_point point = {
        module.image.text + random_below(module.image.text_size + 2),
        (uintptr_t)memory + random_below(3 * page / 8) * 8 + (random_below(50) == 0 ? 1 : 0),
        random_below(2) ? (uintptr_t)memory + random_below(3 * page) : random_below(UINT64_MAX)};
    uintptr_t sp = point.sp;
    if (outrider_stack_table_step(&point, bounds) != 1) continue;
    CHECK(point.sp > sp && point.sp <= bounds.high && sp >= bounds.low, "off the stack");
    steps++;
  }
  CHECK(steps > random_steps / 10, "%lu steps", steps);
  munmap(memory, 3 * page);
}

int main(void) {
  outrider_stack_prepare_tables();
  test_return_addresses();
  test_fenced_stack();
  printf("unwind_steps: %lu checks\n", checks);
  return 0;
}
