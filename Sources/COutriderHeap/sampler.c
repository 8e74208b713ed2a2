/* SPDX-License-Identifier: Apache-2.0 */
#include "outrider_heap.h"
