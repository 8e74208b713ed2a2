/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "CBench.h"

#include <dlfcn.h>
#include <malloc.h>
#include <sched.h>
#include <stddef.h>

static cpu_set_t allowed;

__attribute__((constructor)) static void remember_allowed(void) {
  sched_getaffinity(0, sizeof allowed, &allowed);
}

int bench_pin(int index) {
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &allowed) || index-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof one, &one) == 0;
  }
  return 0;
}

long bench_heap_bytes(void) {
  struct mallinfo2 info = mallinfo2();
  return (long)(info.uordblks + info.hblkhd);
}

long bench_allocations(void) {
  long (*count)(void) = (long (*)(void))dlsym(RTLD_DEFAULT, "outrider_allocations");
  return count ? count() : -1;
}

extern const ptrdiff_t __rseq_offset __attribute__((weak));

int bench_be_on_first_cpu(void) {
#if defined(__x86_64__)
  if (&__rseq_offset == NULL) return 0;
  /* cpu_id_start and cpu_id of struct rseq (linux/rseq.h). */
  __asm__ volatile("movq $0, %%fs:(%0)" : : "r"(__rseq_offset) : "memory");
  return 1;
#else
  return 0;
#endif
}
