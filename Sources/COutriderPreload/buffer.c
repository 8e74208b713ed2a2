/* SPDX-License-Identifier: Apache-2.0
 * A growing buffer, and the wire format of protocol buffers.
 */
#define _GNU_SOURCE
#include "buffer.h"

#include <string.h>
#include <sys/mman.h>

enum { FIRST_CAPACITY = 64 * 1024 };
/* Wire types of fields (protobuf.dev, "Encoding": Message Structure). */
enum { VARINT = 0, LENGTH_DELIMITED = 2 };

/* Grows a buffer to at least `needed` bytes; false if memory is short. */
static bool grow(outrider_buffer *buffer, size_t needed) {
    size_t capacity = buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
    while (capacity < needed) capacity *= 2;
    void *memory = buffer->bytes
        ? mremap(buffer->bytes, buffer->capacity, capacity, MREMAP_MAYMOVE)
        : mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return false;
    buffer->bytes = memory;
    buffer->capacity = capacity;
    return true;
}

void *outrider_buffer_extend(outrider_buffer *buffer, size_t count) {
    if (buffer->is_short || count > OUTRIDER_BUFFER_LIMIT - buffer->size
        || (buffer->size + count > buffer->capacity && !grow(buffer, buffer->size + count))) {
        buffer->is_short = true;
        return NULL;
    }
    void *added = buffer->bytes + buffer->size;
    buffer->size += count;
    return added;
}

void outrider_buffer_add(outrider_buffer *buffer, const void *bytes, size_t count) {
    if (count == 0) return;
    void *added = outrider_buffer_extend(buffer, count);
    if (added) memcpy(added, bytes, count);
}

void outrider_buffer_close(outrider_buffer *buffer) {
    if (buffer->bytes) munmap(buffer->bytes, buffer->capacity);
    *buffer = (outrider_buffer){NULL, 0, 0, false};
}

void outrider_wire_varint(outrider_buffer *buffer, uint64_t value) {
    uint8_t bytes[10];
    size_t count = 0;
    do {
        bytes[count++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value);
    outrider_buffer_add(buffer, bytes, count);
}

void outrider_wire_number(outrider_buffer *buffer, uint32_t field, uint64_t value) {
    if (value == 0) return;
    outrider_wire_varint(buffer, field << 3 | VARINT);
    outrider_wire_varint(buffer, value);
}

void outrider_wire_bytes(
    outrider_buffer *buffer, uint32_t field, const void *bytes, size_t count) {
    outrider_wire_varint(buffer, field << 3 | LENGTH_DELIMITED);
    outrider_wire_varint(buffer, count);
    outrider_buffer_add(buffer, bytes, count);
}

void outrider_wire_message(outrider_buffer *buffer, uint32_t field, outrider_buffer *message) {
    outrider_wire_bytes(buffer, field, message->bytes, message->size);
    if (message->is_short) buffer->is_short = true;
    message->size = 0;
}
