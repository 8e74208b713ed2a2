/* SPDX-License-Identifier: Apache-2.0
 * Growing bytes, the wire format of protobuf, and gzip without compression. */
#define _GNU_SOURCE
#include "buffer.h"

#include <string.h>
#include <sys/mman.h>

enum { FIRST_CAPACITY = 1 << 20, STORED_BLOCK = 65535 };

static bool make_room(buffer *into, size_t count) {
    if (into->has_failed) return false;
    if (count <= into->capacity - into->count) return true;
    size_t capacity = into->capacity ? into->capacity : FIRST_CAPACITY;
    while (capacity - into->count < count) capacity *= 2;
    void *grown = into->bytes
        ? mremap(into->bytes, into->capacity, capacity, MREMAP_MAYMOVE)
        : mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (grown == MAP_FAILED) {
        into->has_failed = true;
        return false;
    }
    into->bytes = grown;
    into->capacity = capacity;
    return true;
}

void buffer_add(buffer *into, const void *bytes, size_t count) {
    if (count == 0 || !make_room(into, count)) return;
    memcpy(into->bytes + into->count, bytes, count);
    into->count += count;
}

void buffer_free(buffer *used) {
    if (used->bytes) munmap(used->bytes, used->capacity);
    *used = (buffer){0};
}

void wire_varint(buffer *into, uint64_t value) {
    uint8_t bytes[10];
    size_t count = 0;
    while (value >= 0x80) {
        bytes[count++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[count++] = (uint8_t)value;
    buffer_add(into, bytes, count);
}

void wire_number(buffer *into, unsigned field, uint64_t value) {
    if (value == 0) return;
    wire_varint(into, field << 3);
    wire_varint(into, value);
}

void wire_bytes(buffer *into, unsigned field, const void *bytes, size_t count) {
    wire_varint(into, field << 3 | 2);
    wire_varint(into, count);
    buffer_add(into, bytes, count);
}

/* The checksum of gzip, a bit at a time: a profile takes a few milliseconds. */
static uint32_t checksum(const uint8_t *bytes, size_t count) {
    uint32_t sum = ~0u;
    for (size_t i = 0; i < count; i++) {
        sum ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0);
    }
    return ~sum;
}

static void add_little_endian(buffer *into, uint32_t value, int count) {
    for (int i = 0; i < count; i++, value >>= 8) {
        uint8_t byte = (uint8_t)value;
        buffer_add(into, &byte, 1);
    }
}

void buffer_gzip(buffer *content) {
    static const uint8_t head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
    buffer member = {0};
    buffer_add(&member, head, sizeof head);
    size_t at = 0;
    do {
        size_t left = content->count - at;
        uint32_t size = left < STORED_BLOCK ? (uint32_t)left : STORED_BLOCK;
        uint8_t is_last = at + size == content->count;
        buffer_add(&member, &is_last, 1);
        add_little_endian(&member, size, 2);
        add_little_endian(&member, ~size, 2);
        buffer_add(&member, content->bytes + at, size);
        at += size;
    } while (at < content->count);
    add_little_endian(&member, checksum(content->bytes, content->count), 4);
    add_little_endian(&member, (uint32_t)content->count, 4);
    member.has_failed |= content->has_failed;
    buffer_free(content);
    *content = member;
}
