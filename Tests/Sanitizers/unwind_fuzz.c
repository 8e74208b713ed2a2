/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of .eh_frame under the sanitizers: real entries of libgcc_s, libc and the loader with
 * random bytes changed.
 *
 * The copies end at the end of their memory, so a read past a segment is detected. The requirement:
 * a resulting table has no reference outside itself.
 *
 *   unwind_fuzz [seed]
 */
#define _GNU_SOURCE
#include "unwind_module.h"

enum { mutations = 20000, fuzzed_entries = 60, most_changes = 8 };

/* A changed byte is often a significant one: a length, an encoding, a high bit. */
static uint8_t changed(uint8_t byte) {
  static const uint8_t special[] = {0x00, 0x01, 0x0A, 0x0B, 0x0F, 0x16, 0x7F, 0x80, 0xFF};
  switch (random_below(3)) {
  case 0: return byte ^ (uint8_t)(1U << random_below(8));
  case 1: return special[random_below(sizeof special)];
  default: return (uint8_t)random_below(256);
  }
}

/* Every offset covered by a table leads to a row and a rule that it has. */
static void check_table(const outrider_unwind_table *table) {
  size_t blocks = ((table->span - 1) >> OUTRIDER_UNWIND_BLOCK_BITS) + 1;
  CHECK(table->index[0] == 1 && table->index[blocks] <= table->row_count, "a bad index");
  bool falls = false, wild = false, twice = false;
  for (size_t each = 0; each < blocks; each++)
    falls |= table->index[each] > table->index[each + 1];
  for (uint32_t each = 0; each < table->row_count; each++)
    wild |= table->rows[each].rule >= table->rule_count;
  for (uint32_t each = 1; each < table->row_count; each++)
    twice |= table->rows[each].rule == table->rows[each - 1].rule;
  CHECK(!falls && !wild, "a reference outside the table");
  CHECK(!twice, "adjacent rows have the same rule");
  outrider_unwind_find(table, random_below(table->span));
  outrider_unwind_find(table, table->span - 1);
}

/* Whether two tables of one module are equal. */
static bool is_same(const outrider_unwind_table *one, const outrider_unwind_table *other) {
  return one->row_count == other->row_count &&
         memcmp(one->rows, other->rows, one->row_count * sizeof one->rows[0]) == 0 &&
         one->rule_count == other->rule_count &&
         memcmp(one->rules, other->rules, one->rule_count * sizeof one->rules[0]) == 0;
}

static uint32_t number_at(const uint8_t *bytes, size_t place) {
  uint32_t value;
  memcpy(&value, bytes + place, sizeof value);
  return value;
}

/* An offset in one of the first entries, in its common part, or in the header and the list. */
static size_t random_place(const uint8_t *bytes, size_t header) {
  size_t list = header + 12;
  switch (random_below(8)) {
  case 0: return header + random_below(12);
  case 1: return list + random_below(8 * fuzzed_entries);
  }
  size_t entry = header + number_at(bytes, list + 8 * random_below(fuzzed_entries) + 4);
  if (random_below(8) == 0) return entry + 4 - number_at(bytes, entry + 4) + random_below(24);
  return entry + random_below(number_at(bytes, entry) + 4);
}

/* Changes the first entries of a copy whose memory ends with the last of them. */
static void fuzz(const char *name) {
  struct module module = find_module(name);
  outrider_eh_image image = module.image;
  const uint8_t *real = module.image.bytes;
  size_t header = image.header - image.address;
  image.length = 0;
  for (size_t each = 0; each < fuzzed_entries; each++) {
    size_t entry = header + number_at(real, header + 12 + 8 * each + 4);
    size_t end = entry + 4 + number_at(real, entry);
    if (end > image.length) image.length = end;
  }
  uint8_t *copy = malloc(image.length);
  CHECK(copy != NULL, "no memory");
  memcpy(copy, real, image.length);
  image.bytes = copy;
  image.header_size = 12 + 8 * fuzzed_entries;
  uint32_t count = fuzzed_entries;
  memcpy(copy + header + 8, &count, sizeof count);
  const outrider_unwind_table *clean = outrider_unwind_build(&image);
  CHECK(clean != NULL, "no table of %s", name);
  unsigned long made = 0, others = 0;
  for (int each = 0; each < mutations; each++) {
    size_t places[most_changes], changes = 1 + random_below(most_changes);
    uint8_t before[most_changes];
    for (size_t change = 0; change < changes; change++)
      places[change] = random_place(copy, header);
    for (size_t change = 0; change < changes; change++) {
      before[change] = copy[places[change]];
      copy[places[change]] = changed(before[change]);
    }
    const outrider_unwind_table *table = outrider_unwind_build(&image);
    if (table != NULL) {
      check_table(table);
      made++;
      others += !is_same(table, clean);
      outrider_unwind_discard(table);
    }
    while (changes-- > 0) copy[places[changes]] = before[changes];
  }
  CHECK(made > mutations / 2, "%s: %lu tables: most changes leave no list", name, made);
  CHECK(others > mutations / 2, "%s: %lu tables changed: most changes miss", name, others);
  outrider_unwind_discard(clean);
  free(copy);
}

int main(int count, char **arguments) {
  unsigned long long seed = count > 1 ? strtoull(arguments[1], NULL, 10) : 1;
  random_state = seed == 0 ? 1 : seed;
  printf("unwind_fuzz: seed %llu\n", seed);
  fuzz("libgcc_s");
  fuzz("libc.so.6");
  fuzz("ld-linux");
  printf("unwind_fuzz: seed %llu, %d changed libraries, %lu checks\n", seed, 3 * mutations, checks);
  return 0;
}
