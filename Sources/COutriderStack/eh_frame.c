/* SPDX-License-Identifier: Apache-2.0
 * A reader of .eh_frame_hdr and .eh_frame that keeps what a walk needs and nothing else.
 *
 * Of all registers, a walk without the data of frames needs the stack pointer and the frame pointer. So
 * most of what the information says is passed over; what cannot be said in a row (an expression, another
 * register to count from) becomes a row that ends the walk.
 * Sources: Linux Standard Base 5, "Exception Frames"; DWARF 5, section 6.4; System V ABI, AMD64
 * supplement, figure 3.36 (register numbers).
 */
#include "eh_frame.h"

#include <string.h>

/* DWARF's numbers of the registers of x86-64. */
enum { REGISTER_FP = 6, REGISTER_SP = 7, REGISTER_RETURN = 16 };
/* How pointers are encoded (DW_EH_PE_*). */
enum { ENCODED_ABSOLUTE = 0, ENCODED_U4 = 3, ENCODED_U8 = 4, ENCODED_S4 = 0xb, ENCODED_S8 = 0xc };
enum { RELATIVE_TO_PLACE = 0x10, RELATIVE_TO_HEADER = 0x30, NO_POINTER = 0xff };
/* States that a function may keep to come back to; compilers nest one or two. */
enum { KEPT_STATES = 8 };

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
    int has_failed;
} reader;

static void take(reader *from, void *into, size_t size) {
    if ((size_t)(from->end - from->at) < size) {
        from->has_failed = 1;
        from->at = from->end;
        memset(into, 0, size);
        return;
    }
    memcpy(into, from->at, size);
    from->at += size;
}

static uint8_t take_u8(reader *from) {
    uint8_t value;
    take(from, &value, sizeof value);
    return value;
}

static uint32_t take_u32(reader *from) {
    uint32_t value;
    take(from, &value, sizeof value);
    return value;
}

static void skip(reader *from, uint64_t count) {
    if (count > (uint64_t)(from->end - from->at)) {
        from->has_failed = 1;
        from->at = from->end;
    } else {
        from->at += count;
    }
}

static uint64_t take_unsigned(reader *from) {
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = take_u8(from);
        if (shift < 64) value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80) || from->has_failed) return value;
    }
}

static int64_t take_signed(reader *from) {
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;
    do {
        byte = take_u8(from);
        if (shift < 64) value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80 && !from->has_failed);
    if (byte & 0x40 && shift < 64) value |= ~(uint64_t)0 << shift;
    return (int64_t)value;
}

/* A number in the format of an encoding, without what it is relative to. */
static uint64_t take_encoded(reader *from, uint8_t encoding) {
    switch (encoding & 0xf) {
    case ENCODED_U4: return take_u32(from);
    case ENCODED_S4: return (uint64_t)(int64_t)(int32_t)take_u32(from);
    case ENCODED_ABSOLUTE:
    case ENCODED_U8:
    case ENCODED_S8: {
        uint64_t value;
        take(from, &value, sizeof value);
        return value;
    }
    default: from->has_failed = 1; return 0;
    }
}

/* A pointer that counts from itself or from nothing. */
static uint64_t take_pointer(reader *from, uint8_t encoding) {
    uint64_t place = (uint64_t)(uintptr_t)from->at, value = take_encoded(from, encoding);
    switch (encoding & 0x70) {
    case 0: return value;
    case RELATIVE_TO_PLACE: return value + place;
    default: from->has_failed = 1; return 0;
    }
}

/* --- what functions share -------------------------------------------------------------------------- */

typedef struct {
    uint64_t code_unit;
    int64_t data_unit;
    uint8_t pointers;  /* how the functions' addresses are encoded */
    int has_size;      /* whether functions carry data of a size that is told */
    int is_signal;     /* a signal's frame, which is left in another way */
    reader instructions;
} common_entry;

/* A reader of an entry's content, behind its length; failed if it is not all there. */
static reader entry_at(unwind_memory memory, const uint8_t *entry) {
    reader from = {entry, memory.end, entry < memory.start || entry >= memory.end};
    if (from.has_failed) return from;
    uint32_t length = take_u32(&from);
    /* 0 ends the section, and the 64-bit form is for debug information. */
    if (length == 0 || length == UINT32_MAX || length > (uint64_t)(from.end - from.at))
        from.has_failed = 1;
    else
        from.end = from.at + length;
    return from;
}

static int read_common(unwind_memory memory, const uint8_t *entry, common_entry *common) {
    reader from = entry_at(memory, entry);
    if (take_u32(&from) != 0) return 0;
    uint8_t version = take_u8(&from);
    char augmentation[8] = "";
    for (size_t i = 0;; i++) {
        char letter = (char)take_u8(&from);
        if (letter == '\0') break;
        if (i == sizeof augmentation - 1) return 0;
        augmentation[i] = letter;
    }
    memset(common, 0, sizeof *common);
    common->code_unit = take_unsigned(&from);
    common->data_unit = take_signed(&from);
    uint64_t return_register = version == 1 ? take_u8(&from) : take_unsigned(&from);
    if (return_register != REGISTER_RETURN) return 0;
    if (augmentation[0] == 'z') {
        common->has_size = 1;
        uint64_t size = take_unsigned(&from);
        const uint8_t *data = from.at;
        for (const char *letter = augmentation + 1; *letter; letter++) {
            if (*letter == 'R') common->pointers = take_u8(&from);
            else if (*letter == 'L') take_u8(&from);
            else if (*letter == 'P') take_encoded(&from, take_u8(&from));
            else if (*letter == 'S') common->is_signal = 1;
            else return 0;
        }
        from.at = data;
        skip(&from, size);
    } else if (augmentation[0] != '\0') {
        return 0;
    }
    common->instructions = from;
    return !from.has_failed;
}

/* --- the machine ------------------------------------------------------------------------------------ */

typedef struct {
    uint64_t cfa_register;
    int64_t cfa_offset;
    int64_t fp_offset;   /* from the canonical frame address; 0: not saved */
    int64_t return_offset;
    int is_unknown;      /* something that a row cannot say */
    int is_outermost;
} state;

typedef struct {
    unwind_row *rows;
    size_t count;
    size_t capacity;
    uintptr_t base;
} row_list;

static void add_row(row_list *list, uint64_t place, uint16_t cfa, int16_t fp) {
    uint64_t offset = place - list->base;
    if (offset > UINT32_MAX) return;
    unwind_row row = {(uint32_t)offset, cfa, fp};
    if (list->count > 0) {
        unwind_row *last = &list->rows[list->count - 1];
        if (last->place > row.place) return; /* not in order: then the header lied */
        if (last->place == row.place) {
            *last = row;
            return;
        }
        if (last->cfa == cfa && last->fp == fp) return;
    }
    if (list->count < list->capacity) list->rows[list->count++] = row;
}

static void add_state(row_list *list, uint64_t place, const state *now) {
    uint16_t cfa = CFA_UNKNOWN;
    int16_t fp = 0;
    int64_t words = now->cfa_offset / 8;
    if (now->is_outermost) {
        cfa = CFA_OUTERMOST;
    } else if (
        !now->is_unknown && now->cfa_offset % 8 == 0 && words > 0 && words < 0x7000
        && now->return_offset == -8 && now->fp_offset % 8 == 0 && now->fp_offset <= 0
        && now->fp_offset > -8 * INT16_MAX
        && (now->cfa_register == REGISTER_SP || now->cfa_register == REGISTER_FP)) {
        cfa = (uint16_t)words | (now->cfa_register == REGISTER_FP ? CFA_FROM_FP : 0);
        fp = (int16_t)(-now->fp_offset / 8);
    }
    add_row(list, place, cfa, fp);
}

static void set_offset(state *now, uint64_t number, int64_t offset) {
    if (number == REGISTER_FP) now->fp_offset = offset;
    if (number == REGISTER_RETURN) now->return_offset = offset;
}

static void restore(state *now, const state *initial, uint64_t number) {
    if (number == REGISTER_FP) now->fp_offset = initial->fp_offset;
    if (number == REGISTER_RETURN) {
        now->return_offset = initial->return_offset;
        now->is_outermost = initial->is_outermost;
    }
}

/* The instructions without an operand in their first byte that say something about one register. */
static void apply_to_register(
    uint8_t code, reader *from, const common_entry *common, state *now, const state *initial) {
    uint64_t number = take_unsigned(from);
    switch (code) {
    case 0x05: set_offset(now, number, (int64_t)take_unsigned(from) * common->data_unit); break;
    case 0x11: set_offset(now, number, take_signed(from) * common->data_unit); break;
    case 0x2f: set_offset(now, number, -((int64_t)take_unsigned(from) * common->data_unit)); break;
    case 0x06: restore(now, initial, number); break;
    case 0x07:
        if (number == REGISTER_RETURN) now->is_outermost = 1;
        break;
    case 0x08: set_offset(now, number, 0); break;
    case 0x09:
        if (take_unsigned(from) != number && number == REGISTER_FP) now->is_unknown = 1;
        break;
    case 0x0c:
        now->cfa_register = number;
        now->cfa_offset = (int64_t)take_unsigned(from);
        break;
    case 0x12:
        now->cfa_register = number;
        now->cfa_offset = take_signed(from) * common->data_unit;
        break;
    case 0x0d: now->cfa_register = number; break;
    case 0x10:
    case 0x16:
        skip(from, take_unsigned(from));
        if (number == REGISTER_FP || number == REGISTER_RETURN) now->is_unknown = 1;
        break;
    case 0x14: take_unsigned(from); break;
    case 0x15: take_signed(from); break;
    }
}

/* Runs instructions; with a list, a row is added before each step forward. */
static void run(
    reader from, const common_entry *common, state *now, const state *initial, uint64_t place,
    row_list *list) {
    state kept[KEPT_STATES];
    int kept_count = 0;
    while (from.at < from.end && !from.has_failed) {
        uint8_t code = take_u8(&from), low = code & 0x3f;
        uint64_t step = 0;
        switch (code & 0xc0 ? code & 0xc0 : code) {
        case 0x40: step = low; break;
        case 0x80: set_offset(now, low, (int64_t)take_unsigned(&from) * common->data_unit); break;
        case 0xc0: restore(now, initial, low); break;
        case 0x00: break;
        case 0x02: step = take_u8(&from); break;
        case 0x03: {
            uint16_t wide;
            take(&from, &wide, sizeof wide);
            step = wide;
            break;
        }
        case 0x04: step = take_u32(&from); break;
        case 0x0a:
            if (kept_count < KEPT_STATES) kept[kept_count] = *now;
            kept_count++;
            break;
        case 0x0b:
            if (kept_count > 0) kept_count--;
            if (kept_count < KEPT_STATES) *now = kept[kept_count];
            else now->is_unknown = 1;
            break;
        case 0x0e: now->cfa_offset = (int64_t)take_unsigned(&from); break;
        case 0x13: now->cfa_offset = take_signed(&from) * common->data_unit; break;
        case 0x0f:
            /* The address by an expression: until the next definition nobody can tell. */
            skip(&from, take_unsigned(&from));
            now->cfa_register = UINT64_MAX;
            break;
        case 0x2e: take_unsigned(&from); break;
        case 0x05: case 0x06: case 0x07: case 0x08: case 0x09: case 0x0c: case 0x0d: case 0x10:
        case 0x11: case 0x12: case 0x14: case 0x15: case 0x16: case 0x2f:
            apply_to_register(code, &from, common, now, initial);
            break;
        default: now->is_unknown = 1; return;
        }
        if (step && list) {
            add_state(list, place, now);
            place += step * common->code_unit;
        }
    }
    if (from.has_failed) now->is_unknown = 1;
    if (list) add_state(list, place, now);
}

/* Adds the rows of one function. */
static void add_function(unwind_memory memory, const uint8_t *entry, row_list *list) {
    reader from = entry_at(memory, entry);
    const uint8_t *here = from.at;
    uint32_t back = take_u32(&from);
    common_entry common;
    if (from.has_failed || back == 0 || back > (size_t)(here - memory.start)
        || !read_common(memory, here - back, &common))
        return;
    uint64_t start = take_pointer(&from, common.pointers);
    uint64_t size = take_encoded(&from, common.pointers & 0xf);
    if (common.has_size) skip(&from, take_unsigned(&from));
    if (from.has_failed || size > UINT32_MAX) return;
    state initial = {.cfa_register = UINT64_MAX, .is_unknown = common.is_signal};
    run(common.instructions, &common, &initial, &initial, start, NULL);
    state now = initial;
    run(from, &common, &now, &initial, start, list);
    /* Behind it there may be padding, or code that nobody describes. */
    add_row(list, start + size, CFA_UNKNOWN, 0);
}

/* --- the list of functions --------------------------------------------------------------------------- */

/* The table behind the header: pairs of a function's address and its entry's, both counted from the header
 * in four bytes, sorted. */
static reader function_list(unwind_memory memory, const uint8_t *header, size_t *count) {
    reader from = {header, memory.end, header < memory.start || header >= memory.end};
    uint8_t version = take_u8(&from), frame = take_u8(&from), counts = take_u8(&from),
            table = take_u8(&from);
    if (frame != NO_POINTER) take_encoded(&from, frame);
    *count = counts == NO_POINTER ? 0 : (size_t)take_encoded(&from, counts);
    if (version != 1 || table != (RELATIVE_TO_HEADER | ENCODED_S4)) from.has_failed = 1;
    size_t most = (size_t)(from.end - from.at) / 8;
    if (from.has_failed) *count = 0;
    if (*count > most) *count = most;
    return from;
}

size_t outrider_stack_eh_frame_functions(unwind_memory memory, const uint8_t *header) {
    size_t count;
    function_list(memory, header, &count);
    return count;
}

size_t outrider_stack_read_eh_frame(
    unwind_memory memory, const uint8_t *header, uintptr_t base, unwind_row *rows, size_t capacity) {
    row_list list = {rows, 0, capacity, base};
    size_t count;
    reader from = function_list(memory, header, &count);
    for (size_t i = 0; i < count; i++) {
        take_u32(&from);
        int64_t offset = (int32_t)take_u32(&from);
        uintptr_t entry = (uintptr_t)header + (uintptr_t)offset;
        if (entry >= (uintptr_t)memory.start && entry < (uintptr_t)memory.end)
            add_function(memory, (const uint8_t *)entry, &list);
    }
    return list.count;
}
