/* SPDX-License-Identifier: Apache-2.0
 * How long a mangled name may become when it is written out.
 */
#ifndef OUTRIDER_EXPANSION_H
#define OUTRIDER_EXPANSION_H

#include <stdbool.h>
#include <stddef.h>

/* Whether a Swift (`is_swift`) or C++ name surely stays within `most` parts when every reference in it is
 * replaced by what it refers to. A part is written as a few letters. Takes some nanoseconds a letter. */
bool outrider_expands_within(const char *name, size_t length, bool is_swift, size_t most);

#endif
