/* SPDX-License-Identifier: Apache-2.0
 * Text from elsewhere: file names and symbols' names are bytes, and a profile's strings are UTF-8. */
#ifndef OUTRIDER_TEXT_H
#define OUTRIDER_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Copies text of a length; each byte that is not part of valid UTF-8 becomes a question mark. */
void outrider_text_copy(uint8_t *into, const char *text, size_t length);

#endif
