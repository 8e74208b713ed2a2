/* SPDX-License-Identifier: Apache-2.0
 * Runs the programs of .eh_frame entries: how the CFA and the frame pointer change along a
 * function.
 *
 * Only three registers are tracked. A case that a compact rule cannot express is a stop: CFAs from
 * other registers, DWARF expressions (in the PLT and signal frames), registers saved in registers.
 *
 * Source: DWARF 5, section 6.4.2; System V ABI for x86-64, figure 3.36 (register numbers).
 */
#include "tables.h"

enum {
    frame_pointer = 6,
    stack_pointer = 7,
    return_address = 16,
    /* Maximum nesting of DW_CFA_remember_state; compilers emit one level. */
    deepest = 8,
    word = 8,
};

/* DW_CFA_*. The first three have an operand in their low six bits. */
enum {
    advance_loc = 0x40,
    offset = 0x80,
    restore = 0xC0,
    high_bits = 0xC0,
    low_bits = 0x3F,
    nop = 0x00,
    set_loc = 0x01,
    advance_loc1 = 0x02,
    advance_loc2 = 0x03,
    advance_loc4 = 0x04,
    offset_extended = 0x05,
    restore_extended = 0x06,
    undefined = 0x07,
    same_value = 0x08,
    in_register = 0x09,
    remember_state = 0x0A,
    restore_state = 0x0B,
    def_cfa = 0x0C,
    def_cfa_register = 0x0D,
    def_cfa_offset = 0x0E,
    def_cfa_expression = 0x0F,
    expression = 0x10,
    offset_extended_sf = 0x11,
    def_cfa_sf = 0x12,
    def_cfa_offset_sf = 0x13,
    val_offset = 0x14,
    val_offset_sf = 0x15,
    val_expression = 0x16,
    gnu_args_size = 0x2E,
    gnu_negative_offset_extended = 0x2F,
};

/* How a register's value in the caller is found. */
typedef struct {
    enum { kept, gone, stored, strange } how;
    int64_t offset; /* from the CFA, if it is stored */
} value;

typedef struct {
    uint64_t cfa_register;
    int64_t cfa_offset;
    bool cfa_computed; /* by an expression */
    value fp, sp, ra;
} state;

typedef struct {
    const outrider_eh_entry *entry;
    outrider_eh_cursor program;
    outrider_unwind_rows *rows; /* NULL while the common program runs */
    uint64_t text;
    uint64_t at;
    state now;
    state initial;
    state remembered[deepest];
    size_t depth;
} machine;

static outrider_unwind_rule rule_of(const state *now) {
    outrider_unwind_rule rule = {0};
    if (now->ra.how == gone) {
        rule.base = OUTRIDER_UNWIND_OUTERMOST;
        return rule;
    }
    int64_t up = now->cfa_offset;
    int64_t fp = now->fp.offset;
    bool from_sp = now->cfa_register == stack_pointer;
    if (now->cfa_computed || (!from_sp && now->cfa_register != frame_pointer)) return rule;
    if (up < 0 || up % word != 0 || up / word > UINT16_MAX) return rule;
    if (now->ra.how != stored || now->ra.offset != -word || now->sp.how != kept) return rule;
    if (now->fp.how == stored) {
        if (fp >= 0 || fp % word != 0 || fp < -(int64_t)UINT8_MAX * word) return rule;
        rule.saved = (uint8_t)(-fp / word);
    } else if (now->fp.how == strange) {
        return rule;
    }
    rule.words = (uint16_t)(up / word);
    rule.base = from_sp ? OUTRIDER_UNWIND_SP : OUTRIDER_UNWIND_FP;
    return rule;
}

/* Adds the rule that applies from the current address. */
static void emit(machine *run, outrider_unwind_rule rule) {
    if (run->rows != NULL) outrider_unwind_add(run->rows, run->at - run->text, rule);
}

/* Moves to an address. Addresses only rise; an address past the entry's end is bad. */
static void move_to(machine *run, uint64_t address) {
    if (run->program.bad) return;
    if (run->rows == NULL || address < run->at || address >= run->entry->end) {
        run->program.bad = true;
        return;
    }
    if (address == run->at) return;
    emit(run, rule_of(&run->now));
    run->at = address;
}

static void advance(machine *run, uint64_t count) {
    uint64_t step;
    /* A sum that wraps is an address already passed, which move_to rejects. */
    if (__builtin_mul_overflow(count, run->entry->code_factor, &step))
        run->program.bad = true;
    else
        move_to(run, run->at + step);
}

/* The tracked value of a register by its number; NULL if the register is not tracked. */
static value *value_of(state *now, uint64_t number) {
    switch (number) {
    case frame_pointer: return &now->fp;
    case stack_pointer: return &now->sp;
    case return_address: return &now->ra;
    default: return NULL;
    }
}

static void set(machine *run, uint64_t number, value to) {
    value *known = value_of(&run->now, number);
    if (known != NULL) *known = to;
}

/* Converts a factored offset to bytes. */
static int64_t scaled(machine *run, int64_t count) {
    int64_t bytes = 0;
    if (__builtin_mul_overflow(count, run->entry->data_factor, &bytes)) run->program.bad = true;
    return bytes;
}

static int64_t taken_scaled(machine *run) {
    return scaled(run, (int64_t)outrider_eh_take_uleb(&run->program));
}

static int64_t taken_scaled_sf(machine *run) {
    return scaled(run, outrider_eh_take_sleb(&run->program));
}

static void reset(machine *run, uint64_t number) {
    value *initial = value_of(&run->initial, number);
    if (initial != NULL) set(run, number, *initial);
}

static void remember(machine *run) {
    if (run->depth == deepest)
        run->program.bad = true;
    else
        run->remembered[run->depth++] = run->now;
}

static void recall(machine *run) {
    if (run->depth == 0)
        run->program.bad = true;
    else
        run->now = run->remembered[--run->depth];
}

/* Handles instructions that define the CFA. Returns false for others. */
static bool cfa_instruction(machine *run, uint8_t code) {
    outrider_eh_cursor *program = &run->program;
    state *now = &run->now;
    switch (code) {
    case def_cfa:
    case def_cfa_sf:
        now->cfa_register = outrider_eh_take_uleb(program);
        now->cfa_offset = code == def_cfa ? (int64_t)outrider_eh_take_uleb(program)
                                          : taken_scaled_sf(run);
        now->cfa_computed = false;
        return true;
    case def_cfa_register:
        now->cfa_register = outrider_eh_take_uleb(program);
        return true;
    case def_cfa_offset: now->cfa_offset = (int64_t)outrider_eh_take_uleb(program); return true;
    case def_cfa_offset_sf: now->cfa_offset = taken_scaled_sf(run); return true;
    case def_cfa_expression:
        outrider_eh_skip(program, outrider_eh_take_uleb(program));
        now->cfa_computed = true;
        return true;
    default: return false;
    }
}

/* Handles instructions that define one register. Returns false for others. */
static bool register_instruction(machine *run, uint8_t code) {
    if (code < offset_extended || code > gnu_negative_offset_extended) return false;
    outrider_eh_cursor *program = &run->program;
    outrider_eh_cursor before = *program;
    uint64_t number = outrider_eh_take_uleb(program);
    const value unknown = {.how = strange};
    switch (code) {
    case offset_extended: set(run, number, (value){stored, taken_scaled(run)}); return true;
    case offset_extended_sf: set(run, number, (value){stored, taken_scaled_sf(run)}); return true;
    case gnu_negative_offset_extended: {
        int64_t up = taken_scaled(run);
        set(run, number, up == INT64_MIN ? unknown : (value){stored, -up});
        return true;
    }
    case restore_extended: reset(run, number); return true;
    case undefined: set(run, number, (value){.how = gone}); return true;
    case same_value: set(run, number, (value){.how = kept}); return true;
    case in_register:
    case val_offset:
    case val_offset_sf:
        /* The second operand is a LEB128 number in all three. */
        outrider_eh_take_sleb(program);
        set(run, number, unknown);
        return true;
    case expression:
    case val_expression:
        outrider_eh_skip(program, outrider_eh_take_uleb(program));
        set(run, number, unknown);
        return true;
    default: *program = before; return false;
    }
}

/* Handles all other instructions. An unknown one is bad. */
static void plain_instruction(machine *run, uint8_t code) {
    outrider_eh_cursor *program = &run->program;
    switch (code) {
    case nop: break;
    case set_loc:
        move_to(run, outrider_eh_take_pointer(program, run->entry->encoding, 0));
        break;
    case advance_loc1: advance(run, outrider_eh_take(program, 1)); break;
    case advance_loc2: advance(run, outrider_eh_take(program, 2)); break;
    case advance_loc4: advance(run, outrider_eh_take(program, 4)); break;
    case remember_state: remember(run); break;
    case restore_state: recall(run); break;
    case gnu_args_size: outrider_eh_take_uleb(program); break;
    default: program->bad = true;
    }
}

/* Runs a program to its end, or until it is bad. */
static void run_program(machine *run, outrider_eh_cursor program, uint64_t *budget) {
    run->program = program;
    while (!run->program.bad && run->program.at < run->program.end) {
        if (*budget == 0) {
            run->program.bad = true;
            return;
        }
        *budget -= 1;
        uint8_t code = (uint8_t)outrider_eh_take(&run->program, 1);
        uint8_t low = code & low_bits;
        switch (code & high_bits) {
        case advance_loc: advance(run, low); break;
        case offset: set(run, low, (value){stored, taken_scaled(run)}); break;
        case restore: reset(run, low); break;
        default:
            if (!cfa_instruction(run, code) && !register_instruction(run, code))
                plain_instruction(run, code);
        }
    }
}

void outrider_eh_run(
    const outrider_eh_entry *entry, uint64_t text, outrider_unwind_rows *rows, uint64_t *budget) {
    machine run = {.entry = entry, .text = text, .at = entry->start};
    /* Until an instruction defines it, the CFA is unknown. */
    run.now.cfa_computed = true;
    run_program(&run, entry->first, budget);
    if (!run.program.bad) {
        run.rows = rows;
        run.initial = run.now;
        run_program(&run, entry->then, budget);
    }
    run.rows = rows;
    emit(&run, run.program.bad ? (outrider_unwind_rule){0} : rule_of(&run.now));
}
