/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of zlib that Outrider uses: compressing a buffer to a gzip member in one call.
 *
 * deflateInit2 is a macro, which Swift does not import. Static inline: only zlib itself has to be
 * linked.
 */
#ifndef OUTRIDER_CZLIB_SHIM_H
#define OUTRIDER_CZLIB_SHIM_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

/* 15 bits of window, plus 16 to select gzip instead of zlib framing (zlib.h). */
static const int outrider_gzip_window = 15 + 16;
/* zlib's memLevel, the memory for matching; its default. */
static const int outrider_gzip_memory = 8;

/* Compresses `size` bytes into `into` as one gzip member (RFC 1952) at `level` 1 to 9. Returns its
 * length; 0 if it does not fit into `capacity` or memory is short. Thread-safe; takes some 256 KiB
 * of memory while it runs. */
static inline size_t outrider_gzip(const uint8_t *from, size_t size, uint8_t *into, size_t capacity,
                                   int level) {
  z_stream stream = {0};
  if (deflateInit2(&stream, level, Z_DEFLATED, outrider_gzip_window, outrider_gzip_memory,
                   Z_DEFAULT_STRATEGY) != Z_OK)
    return 0;
  stream.next_in = (z_const Bytef *)from;
  stream.next_out = into;
  int result;
  /* The counts of zlib have 32 bits. */
  do {
    uInt in = size > UINT_MAX ? UINT_MAX : (uInt)size;
    uInt out = capacity > UINT_MAX ? UINT_MAX : (uInt)capacity;
    stream.avail_in = in;
    stream.avail_out = out;
    result = deflate(&stream, in == size ? Z_FINISH : Z_NO_FLUSH);
    size -= in - stream.avail_in;
    capacity -= out - stream.avail_out;
  } while (result == Z_OK && capacity > 0);
  size_t written = result == Z_STREAM_END ? (size_t)(stream.next_out - into) : 0;
  deflateEnd(&stream);
  return written;
}

#endif
