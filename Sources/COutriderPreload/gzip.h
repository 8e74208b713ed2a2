/* SPDX-License-Identifier: Apache-2.0
 * A gzip writer without zlib, because the preloaded object may only depend on libc. */
#ifndef OUTRIDER_GZIP_H
#define OUTRIDER_GZIP_H

#include "buffer.h"

/* Appends one gzip member with these bytes to the output.
 *
 * Replaces repetitions within 32 KiB and uses fixed codes: the output is some 10 % larger than
 * zlib's, with a tenth of the code. Check `output->is_short` afterwards. */
void outrider_gzip(outrider_buffer *output, const uint8_t *bytes, size_t count);

#endif
