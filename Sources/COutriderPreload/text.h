/* SPDX-License-Identifier: Apache-2.0
 * Conversion of foreign text: file and symbol names are bytes, while a profile's strings are
 * UTF-8. */
#ifndef OUTRIDER_TEXT_H
#define OUTRIDER_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Copies text of a given length; each byte that is not part of valid UTF-8 becomes a question
 * mark. */
void outrider_text_copy(uint8_t *into, const char *text, size_t length);

#endif
