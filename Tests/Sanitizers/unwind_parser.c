/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of .eh_frame under the sanitizers, with entries written here: instructions that no
 * library at hand uses, and input that no linker writes.
 */
#define _GNU_SOURCE
#include "unwind_module.h"

/* ---- Programs ---- */

enum { code_at = 0x20000, code_size = 0x80, function_at = 0x10, function_size = 0x40 };

struct bytes {
  uint8_t at[256];
  size_t count;
};

static void put(struct bytes *into, uint64_t value, size_t size) {
  CHECK(into->count + size <= sizeof into->at, "too long");
  memcpy(into->at + into->count, &value, size);
  into->count += size;
}
static void put_all(struct bytes *into, const char *from, size_t size) {
  for (size_t each = 0; each < size; each++) put(into, (uint8_t)from[each], 1);
}

/* The fields that a test varies; 0 means the value that compilers write. */
struct program {
  const char *promise;
  const char *code; /* of the entry */
  size_t size;
  const char *expected;
  const char *augmentation; /* and its data, preceded by its length */
  const char *data;
  size_t data_size;
  uint8_t version, column, encoding;
  uint8_t times;   /* that the list has the entry */
  uint32_t length; /* of the function */
  const char *factors; /* code, data */
  const char *common;
  size_t common_size;
};
#define CODE(text) .code = text, .size = sizeof text - 1
#define DATA(text) .data = text, .data_size = sizeof text - 1
#define COMMON(text) .common = text, .common_size = sizeof text - 1

static unsigned times_of(const struct program *each) { return each->times == 0 ? 1 : each->times; }

/* Both records and the list, as a linker lays them out. Addresses in it count from 0x10000. */
static struct bytes image_of(const struct program *each) {
  const uint64_t base = 0x10000;
  struct bytes image = {0};
  uint8_t encoding = each->encoding == 0 ? 0x1B : each->encoding;
  put(&image, 0x3B031B01, 4);
  put(&image, 16, 4);
  put(&image, times_of(each), 4);
  for (unsigned time = 0; time < times_of(each); time++) {
    put(&image, code_at + function_at - base, 4);
    put(&image, 0, 4);
  }
  size_t common = image.count;
  put(&image, 0, 4);
  put(&image, 0, 4);
  put(&image, each->version == 0 ? 1 : each->version, 1);
  const char *augmentation = each->augmentation == NULL ? "zR" : each->augmentation;
  put_all(&image, augmentation, strlen(augmentation) + 1);
  put_all(&image, each->factors == NULL ? "\1\x78" : each->factors, 2);
  put(&image, each->column == 0 ? 16 : each->column, 1);
  if (each->data != NULL) {
    put_all(&image, each->data, each->data_size);
  } else if (augmentation[0] == 'z') {
    put(&image, 1, 1);
    put(&image, encoding, 1);
  }
  if (each->common != NULL)
    put_all(&image, each->common, each->common_size);
  else
    put_all(&image, "\x0c\x07\x08\x90\x01", 5);
  uint32_t length = (uint32_t)(image.count - common - 4);
  memcpy(image.at + common, &length, 4);

  size_t entry = image.count;
  length = (uint32_t)entry;
  for (unsigned time = 0; time < times_of(each); time++)
    memcpy(image.at + 16 + 8 * time, &length, 4);
  put(&image, 0, 4);
  put(&image, image.count - common, 4);
  bool pointer = encoding != 0x1B;
  uint64_t start = code_at + function_at;
  put(&image, pointer ? start : start - base - image.count, pointer ? 8 : 4);
  put(&image, each->length == 0 ? function_size : each->length, pointer ? 8 : 4);
  if (augmentation[0] == 'z') put(&image, 0, 1);
  put_all(&image, each->code, each->size);
  length = (uint32_t)(image.count - entry - 4);
  memcpy(image.at + entry, &length, 4);
  return image;
}

static int print_rule(char *into, size_t size, outrider_unwind_rule rule) {
  if (rule.base == OUTRIDER_UNWIND_STOP) return snprintf(into, size, "stop");
  if (rule.base == OUTRIDER_UNWIND_OUTERMOST) return snprintf(into, size, "outermost");
  const char *base = rule.base == OUTRIDER_UNWIND_SP ? "rsp" : "rbp";
  if (rule.saved == 0) return snprintf(into, size, "%s+%d", base, rule.words * 8);
  return snprintf(into, size, "%s+%d c-%d", base, rule.words * 8, rule.saved * 8);
}

/* The whole table as text, by offset in the function: "0 rsp+8, 1 rsp+16 c-16". */
static void print_table(const outrider_unwind_table *table, char *into, size_t size) {
  outrider_unwind_rule last = {.base = 0xFF};
  size_t used = 0;
  for (size_t each = 0; each < code_size; each++) {
    outrider_unwind_rule rule = outrider_unwind_find(table, each);
    if (each < function_at || each >= function_at + function_size) {
      CHECK(rule.base == OUTRIDER_UNWIND_STOP, "a rule outside of the function");
    } else if (memcmp(&rule, &last, sizeof rule) != 0) {
      used += (size_t)snprintf(into + used, size - used, "%s%zu ", used == 0 ? "" : ", ",
                               each - function_at);
      used += (size_t)print_rule(into + used, size - used, rule);
      last = rule;
    }
  }
}

static const struct program programs[] = {
    {"a frame pointer",
     CODE("\x41\x0e\x10\x86\x02\x43\x0d\x06\x50\x0c\x07\x08"),
     "0 rsp+8, 1 rsp+16 c-16, 4 rbp+16 c-16, 20 rsp+8 c-16"},
    {"advances of each size",
     CODE("\x02\x01\x0e\x10\x03\x02\x00\x0e\x18\x04\x03\x00\x00\x00\x0e\x20"),
     "0 rsp+8, 1 rsp+16, 3 rsp+24, 6 rsp+32"},
    {"a code factor", CODE("\x41\x0e\x10"), "0 rsp+8, 4 rsp+16", .factors = "\4\x78"},
    {"nested states",
     CODE("\x0a\x41\x0e\x10\x0a\x41\x0e\x18\x86\x03\x41\x0b\x41\x0b"),
     "0 rsp+8, 1 rsp+16, 2 rsp+24 c-24, 3 rsp+16, 4 rsp+8"},
    {"a state that was not kept", CODE("\x41\x0e\x10\x42\x0b\x41"), "0 rsp+8, 1 rsp+16, 3 stop"},
    {"too many states",
     CODE("\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x44\x0a\x41\x0e\x10"), "0 rsp+8, 4 stop"},
    {"signed forms",
     CODE("\x41\x12\x07\x7e\x11\x06\x02\x41\x13\x7d\x41\x05\x06\x03"),
     "0 rsp+8, 1 rsp+16 c-16, 2 rsp+24 c-16, 3 rsp+24 c-24"},
    {"an offset up", CODE("\x41\x2f\x06\x02"), "0 rsp+8, 1 stop"},
    {"a negative offset",
     CODE("\x41\x2f\x06\x02"),
     "0 rsp+8, 1 rsp+8 c-16", .factors = "\1\x08", COMMON("\x0c\x07\x08\x11\x10\x7f")},
    {"a register that is as it was",
     CODE("\x86\x02\x41\x08\x06\x41\x86\x02\x41\xc6\x41\x86\x03\x41\x06\x06"),
     "0 rsp+8 c-16, 1 rsp+8, 2 rsp+8 c-16, 3 rsp+8, 4 rsp+8 c-24, 5 rsp+8"},
    {"a register of no value", CODE("\x86\x02\x41\x07\x06"), "0 rsp+8 c-16, 1 rsp+8"},
    {"registers that do not matter",
     CODE("\x41\x83\x02\x05\x0c\x03\x09\x0d\x01\x10\x0e\x01\x30\x07\x40"), "0 rsp+8"},
    {"no return address", CODE("\x41\x07\x10\x41\xd0"), "0 rsp+8, 1 outermost, 2 rsp+8"},
    {"a return address elsewhere",
     CODE("\x41\x90\x02\x41\x09\x10\x01\x41\x90\x01"), "0 rsp+8, 1 stop, 3 rsp+8"},
    {"a stack pointer elsewhere",
     CODE("\x41\x87\x02\x41\x14\x07\x00\x41\xc7"), "0 rsp+8, 1 stop, 3 rsp+8"},
    {"a frame pointer in a register", CODE("\x41\x09\x06\x03\x41\xc6"), "0 rsp+8, 1 stop, 2 rsp+8"},
    {"a frame pointer that is computed",
     CODE("\x41\x10\x06\x01\x30\x41\xc6\x41\x16\x06\x01\x30\x41\xc6\x41\x15\x06\x01\x41\xc6"),
     "0 rsp+8, 1 stop, 2 rsp+8, 3 stop, 4 rsp+8, 5 stop, 6 rsp+8"},
    {"a frame pointer far away", CODE("\x86\xff\x01\x41\x86\x80\x02"), "0 rsp+8 c-2040, 1 stop"},
    {"a CFA that is computed",
     CODE("\x41\x0f\x02\x77\x08\x41\x0c\x07\x10"), "0 rsp+8, 1 stop, 2 rsp+16"},
    {"a CFA from r10", CODE("\x41\x0c\x0a\x00\x41\x0c\x06\x10"), "0 rsp+8, 1 stop, 2 rbp+16"},
    {"a CFA at its base", CODE("\x41\x0e\x00"), "0 rsp+8, 1 rsp+0"},
    {"CFAs that cannot be represented",
     CODE("\x41\x0e\x0c\x41\x13\x01\x41\x0e\x80\x80\x20\x41\x0e\xf8\xff\x1f"),
     "0 rsp+8, 1 stop, 4 rsp+524280"},
    {"a location set by its address",
     CODE("\x01\x14\x00\x02\x00\x00\x00\x00\x00\x0e\x10"), "0 rsp+8, 4 rsp+16", .encoding = 0x04},
    {"a location before the current one",
     CODE("\x48\x0e\x10\x01\x14\x00\x02\x00\x00\x00\x00\x00\x0e\x18"),
     "0 rsp+8, 8 stop", .encoding = 0x0C},
    {"arguments and nothing", CODE("\x2e\x10\x00\x41\x0e\x10\x00\x00"), "0 rsp+8, 1 rsp+16"},
    {"an instruction of another machine",
     CODE("\x41\x0e\x10\x44\x2d\x44\x0e\x18"), "0 rsp+8, 1 rsp+16, 5 stop"},
    {"an unknown instruction",
     CODE("\x41\x0e\x10\x44\x3f\x44\x0e\x18"), "0 rsp+8, 1 rsp+16, 5 stop"},
    {"a step past the end", CODE("\x41\x0e\x10\x7f\x0e\x18"), "0 rsp+8, 1 stop"},
    {"an operand that is not there", CODE("\x44\x0e"), "0 rsp+8, 4 stop"},
    {"a number without end",
     CODE("\x44\x0e\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), "0 rsp+8, 4 stop"},
    {"an expression past the end", CODE("\x44\x0f\x7f\x00"), "0 rsp+8, 4 stop"},
    {"nothing said", CODE("\x41\x0e\x10"), "0 stop", COMMON("\x00")},
    {"a common part that advances", CODE("\x00"), "0 stop", COMMON("\x0c\x07\x08\x90\x01\x41")},
    {"no augmentation", CODE("\x00"), "0 rsp+8", .augmentation = "", .encoding = 0x04},
    {"a personality and a table",
     CODE("\x00"), "0 rsp+8", .augmentation = "zPLR", DATA("\x07\x9b\x01\x02\x03\x04\x1b\x1b")},
    {"a personality left out",
     CODE("\x00"), "0 rsp+8", .augmentation = "zPR", DATA("\x02\xff\x1b")},
    {"a signal's frame", CODE("\x00"), "0 rsp+8", .augmentation = "zRS"},
    {"an augmentation not known", CODE("\x00"), "0 stop", .augmentation = "zRX"},
    {"an augmentation of old", CODE("\x00"), "0 stop", .augmentation = "eh"},
    {"an augmentation cut off",
     CODE("\x00"), "0 stop", .augmentation = "zPLR", DATA("\x02\x9b\x01")},
    {"an indirect address", CODE("\x00"), "0 stop", DATA("\x01\x9b")},
    {"a data-relative address", CODE("\x00"), "0 stop", DATA("\x01\x3b")},
    {"version 3", CODE("\x00"), "0 rsp+8", .version = 3},
    {"version 4", CODE("\x00"), "0 stop", .version = 4},
    {"a function that is listed twice", CODE("\x41\x0e\x10"), "0 rsp+8, 1 rsp+16", .times = 2},
    {"a function past the code", CODE("\x00"), "0 stop", .length = code_size},
    {"another machine's return address", CODE("\x00"), "0 stop", .column = 30},
};

static void test_programs(void) {
  for (size_t each = 0; each < sizeof programs / sizeof programs[0]; each++) {
    struct bytes bytes = image_of(&programs[each]);
    uint8_t *copy = malloc(bytes.count);
    CHECK(copy != NULL, "no memory");
    memcpy(copy, bytes.at, bytes.count);
    outrider_eh_image image = {.bytes = copy,
                               .length = bytes.count,
                               .address = 0x10000,
                               .header = 0x10000,
                               .header_size = 12 + 8 * times_of(&programs[each]),
                               .text = code_at,
                               .text_size = code_size};
    const outrider_unwind_table *table = outrider_unwind_build(&image);
    CHECK(table != NULL, "%s: no table", programs[each].promise);
    char text[512];
    print_table(table, text, sizeof text);
    CHECK(strcmp(text, programs[each].expected) == 0, "%s: \"%s\", not \"%s\"",
          programs[each].promise, text, programs[each].expected);
    outrider_unwind_discard(table);
    free(copy);
  }
}

/* A list of entries that cannot be read yields no table. */
static void test_lists(void) {
  const struct {
    const char *promise;
    size_t place;
    uint8_t value;
    size_t size;
  } lists[] = {
      {"a list as linkers write it", 0, 1, 20},
      {"another version", 0, 2, 20},
      {"an indirect start", 1, 0x9B, 20},
      {"no count", 2, 0xFF, 20},
      {"a list of other numbers", 3, 0x3C, 20},
      {"no list", 3, 0xFF, 20},
      {"an empty list", 8, 0, 20},
      {"a list past the header's end", 8, 2, 20},
      {"a header cut off", 0, 1, 19},
      {"a header of nothing", 0, 1, 0},
      {"a header past the segment", 0, 1, 4000},
  };
  const struct program program = {.code = "", .expected = "0 rsp+8"};
  for (size_t each = 0; each < sizeof lists / sizeof lists[0]; each++) {
    struct bytes bytes = image_of(&program);
    bytes.at[lists[each].place] = lists[each].value;
    outrider_eh_image image = {.bytes = bytes.at,
                               .length = bytes.count,
                               .address = 0x10000,
                               .header = 0x10000,
                               .header_size = lists[each].size,
                               .text = code_at,
                               .text_size = code_size};
    const outrider_unwind_table *table = outrider_unwind_build(&image);
    CHECK((table != NULL) == (each == 0), "%s", lists[each].promise);
    if (table != NULL) outrider_unwind_discard(table);
  }
  struct bytes bytes = image_of(&program);
  outrider_eh_image image = {bytes.at, bytes.count, 0x10000, 0x20000, 20, code_at, code_size};
  CHECK(outrider_unwind_build(&image) == NULL, "a header out of the segment");
  image.header = 0x10000;
  image.text_size = (size_t)1 << 40;
  CHECK(outrider_unwind_build(&image) == NULL, "a module without bounds");
  image.text_size = 0;
  CHECK(outrider_unwind_build(&image) == NULL, "a module without code");
}

/* A segment may end anywhere. */
static void test_cuts(void) {
  const struct program program = {CODE("\x41\x0e\x10\x86\x02\x43\x0d\x06"), .augmentation = "zPLR",
                                  DATA("\x07\x9b\x01\x02\x03\x04\x1b\x1b")};
  struct bytes bytes = image_of(&program);
  for (size_t length = 0; length <= bytes.count; length++) {
    uint8_t *copy = malloc(length + (length == 0));
    CHECK(copy != NULL, "no memory");
    memcpy(copy, bytes.at, length);
    outrider_eh_image image = {.bytes = copy,
                               .length = length,
                               .address = 0x10000,
                               .header = 0x10000,
                               .header_size = 20,
                               .text = code_at,
                               .text_size = code_size};
    const outrider_unwind_table *table = outrider_unwind_build(&image);
    CHECK((table != NULL) == (length >= 20), "%zu bytes", length);
    if (table != NULL) {
      outrider_unwind_rule rule = outrider_unwind_find(table, function_at);
      CHECK((rule.base == OUTRIDER_UNWIND_SP) == (length == bytes.count), "%zu bytes", length);
      outrider_unwind_discard(table);
    }
    free(copy);
  }
}

int main(void) {
  test_programs();
  test_lists();
  test_cuts();
  printf("unwind_parser: %zu programs, %lu checks\n", sizeof programs / sizeof programs[0], checks);
  return 0;
}
