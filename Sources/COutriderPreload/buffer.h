/* SPDX-License-Identifier: Apache-2.0
 * Bytes that grow, in memory from the kernel: a profile is written in any state of the process, and what
 * it takes to write it is not to be in it. */
#ifndef OUTRIDER_PRELOAD_BUFFER_H
#define OUTRIDER_PRELOAD_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t *bytes;
    size_t count;
    size_t capacity;
    bool has_failed; /* there was no memory; nothing more is added */
} buffer;

void buffer_add(buffer *into, const void *bytes, size_t count);
void buffer_free(buffer *used);

/* Fields of a protobuf message (protobuf.dev, "Encoding"); numbers that are 0 are left out. */
void wire_varint(buffer *into, uint64_t value);
void wire_number(buffer *into, unsigned field, uint64_t value);
void wire_bytes(buffer *into, unsigned field, const void *bytes, size_t count);

/* Replaces the content by a gzip member (RFC 1952) of stored blocks: it needs no compressor, and profiles
 * are small. */
void buffer_gzip(buffer *content);

#endif
