/* SPDX-License-Identifier: Apache-2.0
 * Finds the entries of a module's .eh_frame through the sorted list in its .eh_frame_hdr.
 *
 * Both are read where the loader mapped them, and nothing in them is trusted: each read is checked
 * against the segment. The code of an unreadable entry becomes a stop.
 *
 * Source: Linux Standard Base, Core Specification, "Exception Frames"; System V ABI for x86-64,
 * section 3.7.
 */
#include "tables.h"

#include <string.h>

enum {
    /* DW_EH_PE_*: the low four bits are the format of a number, the next three what it is relative
     * to. */
    absolute = 0x00,
    uleb128 = 0x01,
    data_2 = 0x02,
    data_4 = 0x03,
    data_8 = 0x04,
    sleb128 = 0x09,
    signed_2 = 0x0A,
    signed_4 = 0x0B,
    signed_8 = 0x0C,
    format_mask = 0x0F,
    to_place = 0x10,
    to_data = 0x30,
    relation_mask = 0xF0, /* including the bit for "indirect" */
    omitted = 0xFF,
    /* Every linker writes the list of entries as pairs of offsets to the header. */
    list_encoding = to_data | signed_4,
    list_entry_size = 8,
    /* The column of the return address on x86-64. */
    return_column = 16,
    /* Longer than any augmentation string with its terminator; "zPLR" is the longest usual one. */
    longest_augmentation = 16,
    /* A smaller gap between two functions is padding, and needs no stop. */
    padding = 16,
};

/* Instruction budget for the programs of one module: some 20 times those of libstdc++. */
static const uint64_t whole_budget = 1U << 23;

uint64_t outrider_eh_take(outrider_eh_cursor *cursor, size_t size) {
    if (cursor->bad || (size_t)(cursor->end - cursor->at) < size) {
        cursor->bad = true;
        return 0;
    }
    uint64_t value = 0;
    memcpy(&value, cursor->at, size);
    cursor->at += size;
    cursor->address += size;
    return value;
}

uint64_t outrider_eh_take_uleb(outrider_eh_cursor *cursor) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint64_t byte = outrider_eh_take(cursor, 1);
        value |= (byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) return value;
    }
    cursor->bad = true;
    return 0;
}

int64_t outrider_eh_take_sleb(outrider_eh_cursor *cursor) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64;) {
        uint64_t byte = outrider_eh_take(cursor, 1);
        value |= (byte & 0x7F) << shift;
        shift += 7;
        if ((byte & 0x80) != 0) continue;
        if ((byte & 0x40) != 0 && shift < 64) value |= UINT64_MAX << shift;
        return (int64_t)value;
    }
    cursor->bad = true;
    return 0;
}

void outrider_eh_skip(outrider_eh_cursor *cursor, uint64_t count) {
    if (cursor->bad || (uint64_t)(cursor->end - cursor->at) < count) {
        cursor->bad = true;
        return;
    }
    cursor->at += count;
    cursor->address += count;
}

uint64_t outrider_eh_take_pointer(outrider_eh_cursor *cursor, uint8_t encoding, uint64_t data) {
    uint64_t base = 0;
    switch (encoding & relation_mask) {
    case absolute: break;
    case to_place: base = cursor->address; break;
    case to_data: base = data; break;
    default: cursor->bad = true; return 0;
    }
    switch (encoding & format_mask) {
    case absolute:
    case data_8:
    case signed_8: return base + outrider_eh_take(cursor, 8);
    case data_4: return base + outrider_eh_take(cursor, 4);
    case signed_4: return base + (uint64_t)(int64_t)(int32_t)outrider_eh_take(cursor, 4);
    case data_2: return base + outrider_eh_take(cursor, 2);
    case signed_2: return base + (uint64_t)(int64_t)(int16_t)outrider_eh_take(cursor, 2);
    case uleb128: return base + outrider_eh_take_uleb(cursor);
    case sleb128: return base + (uint64_t)outrider_eh_take_sleb(cursor);
    default: cursor->bad = true; return 0;
    }
}

/* A cursor from an address to the end of the segment. */
static outrider_eh_cursor from_address(const outrider_eh_image *image, uint64_t address) {
    uint64_t offset = address - image->address;
    if (offset > image->length) return (outrider_eh_cursor){.bad = true};
    return (outrider_eh_cursor){
        .at = image->bytes + offset, .end = image->bytes + image->length, .address = address};
}

/* Reads the length of a record and limits the cursor to it. 64-bit lengths are bad: no module here
 * is that large. */
static void enter_record(outrider_eh_cursor *cursor) {
    uint64_t length = outrider_eh_take(cursor, 4);
    if (length == 0 || length > (uint64_t)(cursor->end - cursor->at)) cursor->bad = true;
    if (!cursor->bad) cursor->end = cursor->at + length;
}

/* Reads the fields of a common part that its augmentation string lists; the data starts here. */
static void read_augmentation(
    outrider_eh_entry *entry, outrider_eh_cursor *cursor, const char *letters) {
    entry->augmented = letters[0] == 'z';
    if (!entry->augmented) {
        /* Old augmentations with other data are not supported. */
        if (letters[0] != 0) cursor->bad = true;
        return;
    }
    uint64_t size = outrider_eh_take_uleb(cursor);
    outrider_eh_cursor data = *cursor;
    outrider_eh_skip(cursor, size);
    if (cursor->bad) return;
    data.end = cursor->at;
    for (const char *letter = letters + 1; *letter != 0; letter++) {
        switch (*letter) {
        case 'R': entry->encoding = (uint8_t)outrider_eh_take(&data, 1); break;
        case 'L': outrider_eh_skip(&data, 1); break;
        case 'P': {
            /* Only the length of the personality routine's pointer matters, not its value. */
            uint8_t encoding = (uint8_t)outrider_eh_take(&data, 1);
            if (encoding != omitted)
                outrider_eh_take_pointer(&data, encoding & format_mask, 0);
            break;
        }
        case 'S':
        case 'B': break;
        default: data.bad = true;
        }
    }
    cursor->bad = data.bad;
}

/* Reads a common part (a CIE). Returns whether it is supported. */
static bool read_common(
    const outrider_eh_image *image, uint64_t address, outrider_eh_entry *entry) {
    outrider_eh_cursor cursor = from_address(image, address);
    enter_record(&cursor);
    uint64_t identity = outrider_eh_take(&cursor, 4);
    uint64_t version = outrider_eh_take(&cursor, 1);
    if (cursor.bad || identity != 0 || (version != 1 && version != 3)) return false;
    const char *letters = (const char *)cursor.at;
    size_t room = (size_t)(cursor.end - cursor.at);
    const char *last =
        memchr(letters, 0, room < longest_augmentation ? room : longest_augmentation);
    if (last == NULL) return false;
    outrider_eh_skip(&cursor, (uint64_t)(last - letters) + 1);
    entry->code_factor = outrider_eh_take_uleb(&cursor);
    entry->data_factor = outrider_eh_take_sleb(&cursor);
    uint64_t column =
        version == 1 ? outrider_eh_take(&cursor, 1) : outrider_eh_take_uleb(&cursor);
    entry->encoding = absolute;
    read_augmentation(entry, &cursor, letters);
    entry->first = cursor;
    return !cursor.bad && column == return_column;
}

/* Reads an entry (an FDE) and its common part. Returns whether it is supported. */
static bool read_entry(
    const outrider_eh_image *image, uint64_t address, outrider_eh_entry *entry) {
    outrider_eh_cursor cursor = from_address(image, address);
    enter_record(&cursor);
    uint64_t here = cursor.address;
    uint64_t back = outrider_eh_take(&cursor, 4);
    if (cursor.bad || back == 0 || !read_common(image, here - back, entry)) return false;
    /* A data-relative address in an entry has no defined base. */
    if ((entry->encoding & relation_mask) == to_data) return false;
    entry->start = outrider_eh_take_pointer(&cursor, entry->encoding, 0);
    uint64_t size = outrider_eh_take_pointer(&cursor, entry->encoding & format_mask, 0);
    if (entry->augmented) outrider_eh_skip(&cursor, outrider_eh_take_uleb(&cursor));
    uint64_t offset = entry->start - image->text;
    if (cursor.bad || offset >= image->text_size || size > image->text_size - offset) return false;
    entry->end = entry->start + size;
    entry->then = cursor;
    return size > 0;
}

bool outrider_eh_read(const outrider_eh_image *image, outrider_unwind_rows *rows) {
    outrider_eh_cursor list = from_address(image, image->header);
    if (list.bad || image->header_size > (uint64_t)(list.end - list.at)) return false;
    list.end = list.at + image->header_size;
    uint64_t version = outrider_eh_take(&list, 1);
    uint8_t start_encoding = (uint8_t)outrider_eh_take(&list, 1);
    uint8_t count_encoding = (uint8_t)outrider_eh_take(&list, 1);
    uint64_t encoding = outrider_eh_take(&list, 1);
    /* The address of .eh_frame is not needed: the list points into it. */
    outrider_eh_take_pointer(&list, start_encoding, image->header);
    uint64_t count = outrider_eh_take_pointer(&list, count_encoding, image->header);
    if (list.bad || version != 1 || encoding != list_encoding) return false;
    if (count == 0 || count > (uint64_t)(list.end - list.at) / list_entry_size) return false;

    const outrider_unwind_rule stop = {0};
    uint64_t budget = whole_budget;
    uint64_t known = 0; /* the offset up to which there are rows */
    for (uint64_t each = 0; each < count && budget > 0; each++) {
        uint64_t start = outrider_eh_take_pointer(&list, list_encoding, image->header);
        uint64_t address = outrider_eh_take_pointer(&list, list_encoding, image->header);
        uint64_t offset = start - image->text;
        if (offset >= image->text_size || offset < known) continue;
        outrider_eh_entry entry;
        bool readable = read_entry(image, address, &entry) && entry.start == start;
        if (!readable || offset - known >= padding) outrider_unwind_add(rows, known, stop);
        if (!readable) continue;
        outrider_eh_run(&entry, image->text, rows, &budget);
        known = entry.end - image->text;
    }
    outrider_unwind_add(rows, known, stop);
    return true;
}
