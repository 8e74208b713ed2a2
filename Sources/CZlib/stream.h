/* SPDX-License-Identifier: Apache-2.0
 *
 * A streaming gzip encoder: the member is never in memory as a whole.
 */
#ifndef OUTRIDER_CZLIB_STREAM_H
#define OUTRIDER_CZLIB_STREAM_H

#include "shim.h"

#include <stdlib.h>

/* Opens a member. Feed each piece, and take until the output is shorter than its buffer; then
 * close. NULL if memory is short. For one thread at a time. */
static inline z_stream *outrider_gzip_open(int level) {
  z_stream *stream = calloc(1, sizeof *stream);
  if (stream && deflateInit2(stream, level, Z_DEFLATED, outrider_gzip_window, outrider_gzip_memory,
                             Z_DEFAULT_STRATEGY) != Z_OK) {
    free(stream);
    return NULL;
  }
  return stream;
}

/* Sets the input, under 4 GiB, which must stay valid until all output is taken. */
static inline void outrider_gzip_feed(z_stream *stream, const uint8_t *from, size_t size) {
  stream->next_in = (z_const Bytef *)from;
  stream->avail_in = (uInt)size;
}

/* Takes up to `capacity` compressed bytes, under 4 GiB; `is_last` if no more input follows. */
static inline size_t outrider_gzip_take(z_stream *stream, uint8_t *into, size_t capacity, int is_last) {
  stream->next_out = into;
  stream->avail_out = (uInt)capacity;
  deflate(stream, is_last ? Z_FINISH : Z_NO_FLUSH);
  return capacity - stream->avail_out;
}

static inline void outrider_gzip_close(z_stream *stream) {
  deflateEnd(stream);
  free(stream);
}

#endif
