/* SPDX-License-Identifier: Apache-2.0
 * A gzip writer that needs no zlib, since the object that is preloaded needs nothing but libc. */
#ifndef OUTRIDER_GZIP_H
#define OUTRIDER_GZIP_H

#include "buffer.h"

/* Adds one gzip member with these bytes to the output.
 *
 * Repetitions within 32 KiB are replaced, codes are the fixed ones: some 10 % larger than zlib's, in a tenth
 * of the code. Check `output->is_short` afterwards. */
void outrider_gzip(outrider_buffer *output, const uint8_t *bytes, size_t count);

#endif
