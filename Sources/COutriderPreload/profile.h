/* SPDX-License-Identifier: Apache-2.0
 * The sampler's tables as a profile.proto. */
#ifndef OUTRIDER_PRELOAD_PROFILE_H
#define OUTRIDER_PRELOAD_PROFILE_H

#include "buffer.h"

/* Appends the profile of this moment, with names as far as the files have them, not compressed.
 * `period` is the sampling interval in bytes. For an ordinary thread: it takes the loader's lock. */
void outrider_preload_write_profile(buffer *into, uint64_t period);

#endif
