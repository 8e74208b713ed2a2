/* SPDX-License-Identifier: Apache-2.0
 *
 * Prints rows of a library's unwind table, for unwind_rows.py to compare with readelf.
 *
 *   unwind_rows <library>
 *
 * Prints the path of the library. Then reads addresses from standard input, hexadecimal and
 * relative to the file, and prints a line for each: "stop", "outermost", or the CFA's base and
 * offset and the offset from there where the caller's frame pointer is saved ("rsp+16 c-16",
 * "rbp+16 u"). "outside" means that the address is not in the library's code.
 */
#define _GNU_SOURCE
#include "unwind_module.h"

int main(int count, char **arguments) {
  CHECK(count == 2, "usage: unwind_rows <library>");
  void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  CHECK(library != NULL, "%s", dlerror());
  const char *slash = strrchr(arguments[1], '/');
  struct module module = find_module(slash == NULL ? arguments[1] : slash + 1);
  const outrider_unwind_table *table = outrider_unwind_build(&module.image);
  CHECK(table != NULL, "no table of %s", module.path);

  puts(module.path);
  unsigned long long address;
  while (scanf("%llx", &address) == 1) {
    uint64_t offset = module.base + address - module.image.text;
    if (offset >= table->span) {
      puts("outside");
      continue;
    }
    outrider_unwind_rule rule = outrider_unwind_find(table, offset);
    if (rule.base == OUTRIDER_UNWIND_STOP) {
      puts("stop");
    } else if (rule.base == OUTRIDER_UNWIND_OUTERMOST) {
      puts("outermost");
    } else {
      printf("%s+%d ", rule.base == OUTRIDER_UNWIND_SP ? "rsp" : "rbp", rule.words * 8);
      if (rule.saved == 0)
        puts("u");
      else
        printf("c-%d\n", rule.saved * 8);
    }
  }
  outrider_unwind_discard(table);
  dlclose(library);
  return 0;
}
