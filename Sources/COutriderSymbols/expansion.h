/* SPDX-License-Identifier: Apache-2.0
 * An upper bound of the length of a demangled name.
 */
#ifndef OUTRIDER_EXPANSION_H
#define OUTRIDER_EXPANSION_H

#include <stdbool.h>
#include <stddef.h>

/* Whether a Swift (`is_swift`) or C++ name certainly stays within `most` parts if every reference
 * in it is expanded. A part is a few letters long. Takes some nanoseconds per letter. */
bool outrider_expands_within(const char *name, size_t length, bool is_swift, size_t most);

#endif
