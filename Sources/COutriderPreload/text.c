/* SPDX-License-Identifier: Apache-2.0
 * Converts arbitrary bytes to UTF-8 (RFC 3629, section 4).
 */
#include "text.h"

/* The length of the valid sequence at this point; 0 if there is none. */
static size_t sequence(const uint8_t *bytes, size_t left) {
    uint8_t first = bytes[0];
    if (first < 0x80) return 1;
    size_t length = first >= 0xc2 && first <= 0xdf ? 2
        : first >= 0xe0 && first <= 0xef           ? 3
        : first >= 0xf0 && first <= 0xf4           ? 4
                                                   : 0;
    if (length == 0 || length > left) return 0;
    for (size_t i = 1; i < length; i++)
        if ((bytes[i] & 0xc0) != 0x80) return 0;
    /* Rejects overlong forms, surrogates, and values past the last character. */
    int is_wrong = (first == 0xe0 && bytes[1] < 0xa0) || (first == 0xed && bytes[1] > 0x9f)
        || (first == 0xf0 && bytes[1] < 0x90) || (first == 0xf4 && bytes[1] > 0x8f);
    return is_wrong ? 0 : length;
}

void outrider_text_copy(uint8_t *into, const char *text, size_t length) {
    const uint8_t *bytes = (const uint8_t *)text;
    for (size_t at = 0; at < length;) {
        size_t valid = sequence(bytes + at, length - at);
        if (valid == 0) {
            into[at++] = '?';
            continue;
        }
        for (size_t end = at + valid; at < end; at++) into[at] = bytes[at];
    }
}
