/* SPDX-License-Identifier: Apache-2.0
 * Growing memory that comes from mmap, and the wire format of protocol buffers written into it.
 *
 * A profile is written while somebody's process ends, in whatever state its heap is by then. So nothing
 * here allocates. A buffer that cannot grow remembers that, and takes nothing more: its user looks once,
 * at the end.
 */
#ifndef OUTRIDER_BUFFER_H
#define OUTRIDER_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A buffer never grows past this; a profile at the limits of the sampler's tables takes some 100 MiB. */
#define OUTRIDER_BUFFER_LIMIT ((size_t)1 << 30)

/* Empty when all zero. */
typedef struct {
    uint8_t *bytes;
    size_t size;
    size_t capacity;
    bool is_short; /* something did not fit */
} outrider_buffer;

/* Makes room for `count` bytes at the end, zeroed unless they were used before, and returns where they begin;
 * NULL if there is no memory. What it returned before may have moved. */
void *outrider_buffer_extend(outrider_buffer *buffer, size_t count);
/* Adds bytes at the end. */
void outrider_buffer_add(outrider_buffer *buffer, const void *bytes, size_t count);
/* Gives the memory back. */
void outrider_buffer_close(outrider_buffer *buffer);

/* A number of seven bits a byte (protobuf.dev, "Encoding": Base 128 Varints). */
void outrider_wire_varint(outrider_buffer *buffer, uint64_t value);
/* A field that is a number; nothing for 0, which is what a reader takes a missing one for. */
void outrider_wire_number(outrider_buffer *buffer, uint32_t field, uint64_t value);
/* A field that is a string, a message or a list of packed numbers; it is written when it is empty too. */
void outrider_wire_bytes(outrider_buffer *buffer, uint32_t field, const void *bytes, size_t count);
/* The same of what is in another buffer, which is empty afterwards. */
void outrider_wire_message(outrider_buffer *buffer, uint32_t field, outrider_buffer *message);

#endif
