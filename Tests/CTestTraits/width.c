/* SPDX-License-Identifier: Apache-2.0
 * Limits the number of tests that run at a time.
 *
 * Swift Testing starts all tests at once by default. The cooperative pool has a FIFO queue: each
 * step that a test waits for, such as a server's next one, is then queued after the start of every
 * other test. On a busy machine that takes minutes. */
#include "CTestTraits.h"

#include <stdlib.h>

__attribute__((constructor)) static void limit_width(void) {
  setenv("SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH", "8", 0);
}
