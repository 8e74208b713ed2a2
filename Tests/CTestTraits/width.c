/* SPDX-License-Identifier: Apache-2.0
 * How many tests run at a time.
 *
 * Swift Testing starts all of them at once unless it is told otherwise. The cooperative pool has a
 * queue, first in, first out: whatever a test waits for, such as each step of a server, then stands
 * behind the beginnings of all other tests. On a busy machine that is minutes. */
#include "CTestTraits.h"

#include <stdlib.h>

__attribute__((constructor)) static void limit_width(void) {
  setenv("SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH", "8", 0);
}
