/* SPDX-License-Identifier: Apache-2.0
 * One gzip member (RFC 1952) with one block of deflate in its fixed codes (RFC 1951, 3.2.6).
 */
#include "gzip.h"

#include <string.h>

enum { WINDOW = 32768, SHORTEST = 4, LONGEST = 258, HASH_BITS = 15 };
enum { END_OF_BLOCK = 256, LENGTH_CODES = 29, DISTANCE_CODES = 30 };

/* The smallest length and distance of each code, and its number of extra bits (RFC 1951, 3.2.5). */
static const uint16_t length_base[LENGTH_CODES] = {
    3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
    31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t length_bits[LENGTH_CODES] = {
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint16_t distance_base[DISTANCE_CODES] = {
    1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
    193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};

/* A writer of bits, with those that do not fill a byte yet; the next one is the lowest. */
typedef struct {
    outrider_buffer *output;
    uint64_t bits;
    unsigned count;
} bit_writer;

static void put(bit_writer *writer, uint32_t value, unsigned count) {
    writer->bits |= (uint64_t)value << writer->count;
    for (writer->count += count; writer->count >= 8; writer->count -= 8) {
        uint8_t byte = (uint8_t)writer->bits;
        outrider_buffer_add(writer->output, &byte, 1);
        writer->bits >>= 8;
    }
}

/* Huffman codes are written in reverse: highest bit first. */
static void put_code(bit_writer *writer, uint32_t code, unsigned count) {
    uint32_t turned = 0;
    for (unsigned i = 0; i < count; i++) turned |= (code >> i & 1) << (count - 1 - i);
    put(writer, turned, count);
}

static void put_symbol(bit_writer *writer, uint32_t symbol) {
    if (symbol < 144)
        put_code(writer, 0x30 + symbol, 8);
    else if (symbol < 256)
        put_code(writer, 0x190 + symbol - 144, 9);
    else if (symbol < 280)
        put_code(writer, symbol - 256, 7);
    else
        put_code(writer, 0xc0 + symbol - 280, 8);
}

static void put_match(bit_writer *writer, uint32_t length, uint32_t distance) {
    unsigned code = LENGTH_CODES - 1;
    while (length_base[code] > length) code--;
    put_symbol(writer, END_OF_BLOCK + 1 + code);
    put(writer, length - length_base[code], length_bits[code]);
    code = DISTANCE_CODES - 1;
    while (distance_base[code] > distance) code--;
    put_code(writer, code, 5);
    put(writer, distance - distance_base[code], code < 2 ? 0 : code / 2 - 1);
}

static uint32_t hash_at(const uint8_t *bytes) {
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word * 0x9e3779b1u >> (32 - HASH_BITS);
}

/* Number of bytes at `at` that equal those at an earlier offset. */
static size_t match_length(const uint8_t *bytes, size_t count, size_t at, size_t earlier) {
    size_t most = count - at < LONGEST ? count - at : LONGEST, length = 0;
    while (length < most && bytes[earlier + length] == bytes[at + length]) length++;
    return length;
}

static void deflate(outrider_buffer *output, const uint8_t *bytes, size_t count) {
    bit_writer writer = {output, 0, 0};
    /* The last offset of each hash, plus one. Without memory for it, no matches are found. */
    outrider_buffer table = {0};
    uint32_t *last = outrider_buffer_extend(&table, sizeof *last << HASH_BITS);
    put(&writer, 1, 1); /* the last block */
    put(&writer, 1, 2); /* fixed codes */
    for (size_t at = 0; at < count;) {
        size_t length = 0, earlier = 0;
        if (last && count - at >= SHORTEST) {
            uint32_t *seen = &last[hash_at(bytes + at)];
            earlier = *seen;
            *seen = (uint32_t)(at + 1);
            if (earlier-- && at - earlier <= WINDOW)
                length = match_length(bytes, count, at, earlier);
        }
        if (length >= SHORTEST) {
            put_match(&writer, (uint32_t)length, (uint32_t)(at - earlier));
            at += length;
        } else {
            put_symbol(&writer, bytes[at++]);
        }
    }
    put_symbol(&writer, END_OF_BLOCK);
    put(&writer, 0, 7); /* to a whole byte */
    outrider_buffer_close(&table);
}

/* The CRC of RFC 1952, 8, four bits at a time. */
static uint32_t checksum(const uint8_t *bytes, size_t count) {
    uint32_t table[16];
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t rest = i;
        for (int bit = 0; bit < 4; bit++) rest = rest >> 1 ^ (rest & 1 ? 0xedb88320u : 0);
        table[i] = rest;
    }
    uint32_t sum = 0xffffffffu;
    for (size_t i = 0; i < count; i++) {
        sum = sum >> 4 ^ table[(sum ^ bytes[i]) & 15];
        sum = sum >> 4 ^ table[(sum ^ (uint32_t)bytes[i] >> 4) & 15];
    }
    return ~sum;
}

static void add_word(outrider_buffer *output, uint32_t word) {
    uint8_t bytes[4] = {
        (uint8_t)word, (uint8_t)(word >> 8), (uint8_t)(word >> 16), (uint8_t)(word >> 24)};
    outrider_buffer_add(output, bytes, sizeof bytes);
}

void outrider_gzip(outrider_buffer *output, const uint8_t *bytes, size_t count) {
    /* Deflate, no flags, no time, no compression level, written on Unix. */
    static const uint8_t head[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
    outrider_buffer_add(output, head, sizeof head);
    deflate(output, bytes, count);
    add_word(output, checksum(bytes, count));
    add_word(output, (uint32_t)count);
}
