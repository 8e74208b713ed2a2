/* SPDX-License-Identifier: Apache-2.0 */
#include "outrider_stack.h"
