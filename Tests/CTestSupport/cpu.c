/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "CTestSupport.h"

#include <pthread.h>
#include <sched.h>

static cpu_set_t allowed;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void remember_allowed(void) { sched_getaffinity(0, sizeof allowed, &allowed); }

int test_stay_on_cpu(int number) {
  pthread_once(&once, remember_allowed);
  number %= CPU_COUNT(&allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &allowed) || number-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof one, &one);
  }
  return -1;
}
