/* SPDX-License-Identifier: Apache-2.0
 *
 * outrider_gzip under the sanitizers: zlib decompresses its output, and it touches nothing but its
 * buffers.
 *
 * zlib itself is not instrumented. So input and output end at an inaccessible page, and bytes
 * before the output are checked.
 */
#define _GNU_SOURCE
#include "CZlib/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The same code again with counts of at most 1,000: otherwise the loop needs 4 GiB. */
#undef OUTRIDER_CZLIB_SHIM_H
#undef UINT_MAX
#define UINT_MAX 1000U
#define outrider_gzip gzip_in_pieces
#define outrider_gzip_window window_of_pieces
#define outrider_gzip_memory memory_of_pieces
#include "CZlib/shim.h"
#undef outrider_gzip

typedef size_t (*compress_call)(const uint8_t *, size_t, uint8_t *, size_t, int);

enum { guard_size = 64, guard_byte = 0xA5 };

static unsigned long members, checks;

#define CHECK(condition, ...)                                                                      \
  do {                                                                                             \
    checks++;                                                                                      \
    if (!(condition)) {                                                                            \
      fprintf(stderr, "zlib.c:%d: %s: ", __LINE__, #condition);                                    \
      fprintf(stderr, __VA_ARGS__);                                                                \
      fputc('\n', stderr);                                                                         \
      exit(1);                                                                                     \
    }                                                                                              \
  } while (0)

/* Memory that ends at an inaccessible page; returns its end. */
static uint8_t *fenced(size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size = (size + page - 1) / page * page;
  uint8_t *start =
      mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(start != MAP_FAILED, "no memory");
  CHECK(mprotect(start + size, page, PROT_NONE) == 0, "mprotect failed");
  return start + size;
}

static uint8_t *input_end, *output_end, *inflated;
static size_t room;

/* Compresses the bytes that end at input_end into those that end at output_end; checks the bytes
 * before. */
static size_t compress_into(compress_call call, size_t size, size_t capacity, int level) {
  uint8_t *into = output_end - capacity;
  memset(into - guard_size, guard_byte, guard_size);
  size_t written = call(input_end - size, size, into, capacity, level);
  CHECK(written <= capacity, "%zu of %zu bytes", written, capacity);
  int changed = 0;
  for (int each = 1; each <= guard_size; each++) changed += into[-each] != guard_byte;
  CHECK(changed == 0, "%d bytes before the output changed", changed);
  return written;
}

static void read_back(const uint8_t *member, size_t length, size_t size) {
  z_stream stream = {0};
  CHECK(length >= 18 && member[0] == 0x1F && member[1] == 0x8B, "no gzip member");
  CHECK(inflateInit2(&stream, 15 + 16) == Z_OK, "no memory");
  stream.next_in = (z_const Bytef *)member;
  stream.avail_in = (uInt)length;
  stream.next_out = inflated;
  stream.avail_out = (uInt)room;
  CHECK(inflate(&stream, Z_FINISH) == Z_STREAM_END, "%zu bytes of %zu", length, size);
  CHECK(stream.avail_in == 0, "%u bytes behind the member", stream.avail_in);
  CHECK(stream.total_out == size, "%lu bytes, not %zu", stream.total_out, size);
  CHECK(memcmp(inflated, input_end - size, size) == 0, "other bytes of %zu", size);
  CHECK(inflateEnd(&stream) == Z_OK, "unfinished");
  members++;
}

static void round_trip(compress_call call, size_t size, int level) {
  size_t length = compress_into(call, size, room, level);
  CHECK(length > 0, "%zu bytes at level %d do not fit into %zu", size, level, room);
  read_back(output_end - room, length, size);
  /* With output in pieces, zlib does not report an end that takes the last byte. */
  size_t enough = length + (call == gzip_in_pieces);
  size_t again = compress_into(call, size, enough, level);
  CHECK(again == length, "%zu, not %zu, for %zu", again, length, size);
  read_back(output_end - enough, length, size);
  CHECK(compress_into(call, size, length - 1, level) == 0, "%zu into one too few", size);
  CHECK(compress_into(call, size, 0, level) == 0, "%zu into nothing", size);
  CHECK(compress_into(call, size, 1, level) == 0, "%zu into one byte", size);
}

static uint64_t noise = 0x9E3779B97F4A7C15;

static uint8_t random_byte(void) {
  noise ^= noise << 13;
  noise ^= noise >> 7;
  noise ^= noise << 17;
  return (uint8_t)(noise >> 24);
}

static void fill(size_t size, int is_text) {
  static const char line[] = "http_requests_total{method=\"GET\",code=\"200\"} 1027\n";
  for (uint8_t *byte = input_end - size; byte < input_end; byte++) {
    size_t place = (size_t)(input_end - byte);
    *byte = is_text && place % 97 != 0 ? (uint8_t)line[place % (sizeof line - 1)] : random_byte();
  }
}

/* Writes a member with input and output in pieces of different sizes. */
static void stream_through(size_t size, size_t in_piece, size_t out_piece) {
  z_stream *stream = outrider_gzip_open(1);
  CHECK(stream != NULL, "no memory");
  uint8_t *into = output_end - room;
  size_t length = 0;
  for (size_t at = 0, last = 0; !last; at += in_piece) {
    last = at + in_piece >= size;
    /* The last piece is fed separately, and then the end. */
    for (size_t end = 0; end <= last; end++) {
      size_t count = end ? 0 : last ? size - at : in_piece;
      outrider_gzip_feed(stream, input_end - size + at, count);
      size_t taken;
      do {
        CHECK(room - length >= out_piece, "%zu bytes yield more than fits", size);
        taken = outrider_gzip_take(stream, into + length, out_piece, (int)end);
        CHECK(taken <= out_piece, "%zu of %zu bytes", taken, out_piece);
        length += taken;
      } while (taken == out_piece);
    }
  }
  outrider_gzip_close(stream);
  read_back(into, length, size);
}

int main(void) {
  static const int levels[] = {1, 9};
  static const size_t biggest = 8 << 20;
  room = biggest + biggest / 100 + 1024;
  input_end = fenced(biggest);
  output_end = fenced(room + guard_size);
  inflated = malloc(room);
  CHECK(inflated != NULL, "no memory");

  for (int each = 0; each < 2; each++) {
    for (size_t size = 0; size <= 3000; size++) {
      fill(size, size % 2 == 0);
      size_t all = room;
      room = 4096;
      round_trip(outrider_gzip, size, levels[each]);
      if (size % 10 < 2) round_trip(gzip_in_pieces, size, levels[each]);
      room = all;
    }
    fill(1 << 20, 1);
    round_trip(outrider_gzip, 1 << 20, levels[each]);
    round_trip(gzip_in_pieces, 1 << 20, levels[each]);
    fill(biggest, 0);
    round_trip(outrider_gzip, biggest, levels[each]);
    round_trip(gzip_in_pieces, 100 * 1000, levels[each]);
  }
  for (size_t size = 0; size <= 300000; size = size * 3 + 1) {
    fill(size, size % 2 == 0);
    stream_through(size, 100, 7);
    stream_through(size, 1 << 16, 1 << 15);
  }
  CHECK(outrider_gzip_open(10) == NULL, "level 10");
  /* An invalid level produces nothing; empty input produces a member. */
  CHECK(outrider_gzip(input_end, 0, output_end - 64, 64, 10) == 0, "level 10");
  CHECK(outrider_gzip(input_end, 0, output_end - 64, 64, -2) == 0, "level -2");
  CHECK(outrider_gzip(NULL, 0, NULL, 0, 1) == 0, "no buffers");
  size_t nothing = outrider_gzip(NULL, 0, output_end - 64, 64, 1);
  read_back(output_end - 64, nothing, 0);

  free(inflated);
  printf("zlib %s: %lu members read back, %lu checks\n", zlibVersion(), members, checks);
  return 0;
}
