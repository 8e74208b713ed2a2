/* SPDX-License-Identifier: Apache-2.0
 * Function pointers in the global offset tables of loaded files, and how to replace them.
 */
#ifndef OUTRIDER_SLOTS_H
#define OUTRIDER_SLOTS_H

#include <stddef.h>

/* The result of the last look for the slots of one function. */
typedef struct {
    unsigned long long files; /* number of files loaded by then, in total */
    size_t count;
} slots_look;

/* Writes `function` to every slot of the global offset tables through which a loaded file calls the
 * function of this name; returns how many slots hold it now. Takes the loader's lock, and some
 * milliseconds if files have been loaded since the last look, otherwise next to nothing. */
size_t slots_replace_calls(const char *name, void *function, slots_look *last);

/* Writes to a slot that may be write-protected, and restores its protection. Returns 0 on
 * failure. */
int slots_write(void **slot, void *value);

#endif
