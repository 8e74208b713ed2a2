/* SPDX-License-Identifier: Apache-2.0 */
#include "CTestSupport.h"

#include <stdatomic.h>

#define SWIFT_CALL __attribute__((swiftcall))

typedef SWIFT_CALL void (*enqueue)(void *job);
typedef SWIFT_CALL void (*enqueue_hook)(void *job, enqueue original);
extern enqueue_hook swift_task_enqueueGlobal_hook __attribute__((weak));

static atomic_llong jobs;

static SWIFT_CALL void count(void *job, enqueue original) {
  atomic_fetch_add(&jobs, 1);
  original(job);
}

int test_count_jobs(void) {
  if (!&swift_task_enqueueGlobal_hook) return 0;
  __atomic_store_n(&swift_task_enqueueGlobal_hook, count, __ATOMIC_RELEASE);
  return 1;
}

long long test_jobs(void) { return atomic_load(&jobs); }
