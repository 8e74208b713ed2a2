/* SPDX-License-Identifier: Apache-2.0
 * An upper bound of the length of a demangled name, computed without a demangler.
 *
 * A mangled name refers to its own earlier parts. Each reference can double the name, so that 200
 * letters become a gigabyte, and demanglers have no limit. The parts that references stand for are
 * not parsed here. But parts are numbered in the order of their ends, so part N had ended when N,
 * or a higher number, was first referred to: it is not longer than everything written before that
 * point. By this rule, a name that does not nest references stays far below the limit, and one that
 * doubles itself soon exceeds it.
 *
 * Sources: Itanium C++ ABI 5.1.10 (S_, S0_, …) and 5.1.5.9 (T_, T0_, …); docs/ABI/Mangling.rst of
 * the Swift project, "Substitutions" (Ab…C, A0_) and "Identifiers".
 */
#include "expansion.h"

enum { PARTS = 128 };

/* Upper bounds of the parts of one numbering. */
typedef struct {
    size_t bounds[PARTS];
    size_t count; /* of the parts referred to so far, directly or by a higher number */
} numbering;

typedef struct {
    const char *at, *end;
    size_t length, most;
    numbering parts, arguments;
    bool has_arguments, has_conversion;
} expansion;

static void lengthen(expansion *of, size_t by) {
    of->length = by > of->most - of->length ? of->most : of->length + by;
}

static void refer(expansion *of, numbering *to, size_t number, size_t times) {
    while (to->count <= number && to->count < PARTS) to->bounds[to->count++] = of->length;
    size_t bound = number < PARTS ? to->bounds[number] : of->length;
    for (; times > 0 && of->length < of->most; times--) lengthen(of, bound);
}

/* Reads the digits at this point as a number, in base 10 or 36, and moves `*at` past them; false if
 * there are none. */
static bool read_number(const char **at, const char *end, size_t base, size_t *number) {
    const char *start = *at;
    *number = 0;
    for (; *at < end; (*at)++) {
        char c = **at;
        size_t digit = c >= '0' && c <= '9' ? (size_t)(c - '0')
            : base == 36 && c >= 'A' && c <= 'Z' ? (size_t)(c - 'A') + 10
                                                 : base;
        if (digit == base) break;
        if (*number < PARTS * 1000) *number = *number * base + digit;
    }
    return *at > start;
}

/* Length of the discriminator of Swift's file-private names: _ and 32 hexadecimal digits. */
enum { DISCRIMINATOR = 33 };

/* Skips an identifier: its length and its letters, which contain no references. If the digits may
 * not be a length, only they are skipped. */
static void pass_digits(expansion *of) {
    size_t length;
    const char *at = of->at;
    read_number(&at, of->end, 10, &length);
    bool is_length = at < of->end && (*at != '_' || length == DISCRIMINATOR);
    if (is_length && length <= (size_t)(of->end - at)) at += length;
    lengthen(of, (size_t)(at - of->at));
    of->at = at;
}

/* Handles S_, S0_, T_ and T0_. Returns false at anything else. */
static bool refer_as_cxx(expansion *of) {
    char kind = *of->at;
    const char *at = of->at + 1;
    size_t number = 0;
    if (kind != 'S' && kind != 'T') return false;
    if (read_number(&at, of->end, kind == 'S' ? 36 : 10, &number)) number++;
    if (at == of->end || *at != '_') return false;
    of->at = at + 1;
    of->has_arguments = of->has_arguments || kind == 'T';
    refer(of, kind == 'S' ? &of->parts : &of->arguments, number, 1);
    return true;
}

/* Handles A with letters, the last of which is a capital, each with an optional count before it; or
 * A_, A0_. */
static bool refer_as_swift(expansion *of) {
    if (*of->at != 'A') return false;
    const char *at = of->at + 1;
    while (at < of->end) {
        size_t times;
        bool has_number = read_number(&at, of->end, 10, &times);
        char c = at < of->end ? *at++ : '\0';
        if (c == '_') {
            refer(of, &of->parts, 26 + (has_number ? times + 1 : 0), 1);
            break;
        }
        bool is_last = c >= 'A' && c <= 'Z';
        if (!is_last && !(c >= 'a' && c <= 'z')) break;
        refer(of, &of->parts, (size_t)(c - (is_last ? 'A' : 'a')), has_number ? times : 1);
        if (is_last) break;
    }
    of->at = at;
    return true;
}

static void pass_cxx(expansion *of) {
    if (refer_as_cxx(of)) return;
    /* An encoding within a name: it has its own arguments. */
    if (*of->at == 'Z') of->arguments.count = 0;
    if (of->end - of->at > 1 && of->at[0] == 'c' && of->at[1] == 'v') of->has_conversion = true;
    lengthen(of, 1);
    of->at++;
}

bool outrider_expands_within(const char *name, size_t length, bool is_swift, size_t most) {
    expansion of = {.at = name, .end = name + length, .most = most};
    while (of.at < of.end && of.length < most) {
        if (*of.at >= '1' && *of.at <= '9') {
            pass_digits(&of);
        } else if (!is_swift) {
            pass_cxx(&of);
        } else if (!refer_as_swift(&of)) {
            lengthen(&of, 1);
            of.at++;
        }
    }
    /* The target type of a conversion precedes the arguments that it refers to. */
    if (of.has_conversion && of.has_arguments) return of.length < most / (of.length + 1);
    return of.length < most;
}
