/* SPDX-License-Identifier: Apache-2.0
 *
 * A gzip member that is written a piece at a time, so that it is never in memory as a whole.
 */
#ifndef OUTRIDER_CZLIB_STREAM_H
#define OUTRIDER_CZLIB_STREAM_H

#include "shim.h"

#include <stdlib.h>

/* Opens a member: for each piece feed it, and take until less comes than there is room for; then close. NULL if
 * memory is short. For one thread at a time. */
static inline z_stream *outrider_gzip_open(int level) {
  z_stream *stream = calloc(1, sizeof *stream);
  if (stream && deflateInit2(stream, level, Z_DEFLATED, outrider_gzip_window, outrider_gzip_memory,
                             Z_DEFAULT_STRATEGY) != Z_OK) {
    free(stream);
    return NULL;
  }
  return stream;
}

/* Gives it bytes, under 4 GiB, which have to stay until all is taken. */
static inline void outrider_gzip_feed(z_stream *stream, const uint8_t *from, size_t size) {
  stream->next_in = (z_const Bytef *)from;
  stream->avail_in = (uInt)size;
}

/* Takes what is compressed, `capacity` bytes at most, under 4 GiB; `is_last` where nothing is fed any more. */
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
