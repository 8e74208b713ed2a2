/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared by the tests of the unwind tables: lookup of a module, random numbers, and checks.
 */
#ifndef UNWIND_MODULE_H
#define UNWIND_MODULE_H

#include "COutriderStack/tables.h"
#include "outrider_stack.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static unsigned long checks;

#define CHECK(condition, ...)                                                                      \
  do {                                                                                             \
    checks++;                                                                                      \
    if (!(condition)) {                                                                            \
      fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                              \
      fprintf(stderr, __VA_ARGS__);                                                                \
      fputc('\n', stderr);                                                                         \
      exit(1);                                                                                     \
    }                                                                                              \
  } while (0)

static uint64_t random_state = 1;
static inline uint64_t random_below(uint64_t limit) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state % limit;
}

struct module {
  const char *name; /* the beginning of the file's name */
  char path[512];
  uint64_t base;
  outrider_eh_image image;
};

static inline int describe_module(struct dl_phdr_info *info, size_t size, void *context) {
  (void)size;
  struct module *module = context;
  const char *slash = strrchr(info->dlpi_name, '/');
  const char *name = slash == NULL ? info->dlpi_name : slash + 1;
  if (strncmp(name, module->name, strlen(module->name)) != 0) return 0;
  snprintf(module->path, sizeof module->path, "%s", info->dlpi_name);
  module->base = info->dlpi_addr;
  outrider_eh_image *image = &module->image;
  for (int pass = 0; pass < 2; pass++) {
    for (int each = 0; each < info->dlpi_phnum; each++) {
      const ElfW(Phdr) *part = &info->dlpi_phdr[each];
      uint64_t start = info->dlpi_addr + part->p_vaddr;
      if (part->p_type == PT_GNU_EH_FRAME) {
        image->header = start;
        image->header_size = part->p_memsz;
      } else if (part->p_type == PT_LOAD && part->p_flags & PF_X) {
        image->text = start;
        image->text_size = part->p_memsz;
      }
      if (pass == 0 || part->p_type != PT_LOAD || image->header - start >= part->p_memsz) continue;
      image->bytes = (const uint8_t *)start;
      image->address = start;
      image->length = part->p_memsz;
    }
  }
  return 1;
}

/* Finds a loaded module by the beginning of its file's name. */
static inline struct module find_module(const char *name) {
  struct module module = {.name = name};
  CHECK(dl_iterate_phdr(describe_module, &module) == 1, "%s is not loaded", name);
  CHECK(module.image.bytes != NULL, "%s has no segment of unwind entries", name);
  return module;
}

#endif
