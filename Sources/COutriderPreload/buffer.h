/* SPDX-License-Identifier: Apache-2.0
 * A growing buffer in mapped memory, and a writer for the wire format of protocol buffers.
 *
 * A profile is written while the host program ends, whatever the state of its heap. So nothing here
 * allocates. A buffer that cannot grow records that and ignores further writes: its user checks
 * once, at the end.
 */
#ifndef OUTRIDER_BUFFER_H
#define OUTRIDER_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Maximum size of a buffer; a profile at the limits of the sampler's tables takes some 100 MiB. */
#define OUTRIDER_BUFFER_LIMIT ((size_t)1 << 30)

/* Empty when all zero. */
typedef struct {
    uint8_t *bytes;
    size_t size;
    size_t capacity;
    bool is_short; /* something did not fit */
} outrider_buffer;

/* Adds `count` bytes at the end, zeroed unless they were used before, and returns their start; NULL
 * if memory is short. Pointers returned before become invalid. */
void *outrider_buffer_extend(outrider_buffer *buffer, size_t count);
/* Appends bytes. */
void outrider_buffer_add(outrider_buffer *buffer, const void *bytes, size_t count);
/* Frees the memory. */
void outrider_buffer_close(outrider_buffer *buffer);

/* Writes a varint, seven bits per byte (protobuf.dev, "Encoding": Base 128 Varints). */
void outrider_wire_varint(outrider_buffer *buffer, uint64_t value);
/* Writes a numeric field; nothing for 0, which is the default of a missing field. */
void outrider_wire_number(outrider_buffer *buffer, uint32_t field, uint64_t value);
/* Writes a field that is a string, a message or a list of packed numbers, even if it is empty. */
void outrider_wire_bytes(outrider_buffer *buffer, uint32_t field, const void *bytes, size_t count);
/* The same with the content of another buffer, which is empty afterwards. */
void outrider_wire_message(outrider_buffer *buffer, uint32_t field, outrider_buffer *message);

#endif
