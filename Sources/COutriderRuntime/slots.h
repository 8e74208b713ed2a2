/* SPDX-License-Identifier: Apache-2.0
 * Words of loaded files that hold the address of a function, and how to change them.
 */
#ifndef OUTRIDER_SLOTS_H
#define OUTRIDER_SLOTS_H

#include <stddef.h>

/* What came of the last look for the slots of one function. */
typedef struct {
    unsigned long long files; /* how many files had been loaded by then, in all */
    size_t count;
} slots_look;

/* Writes `function` over every slot of the global offset tables through which a loaded file calls the
 * function of this name; returns how many hold it now. Takes the loader's lock, and some milliseconds
 * where files have been loaded since the last look, hardly anything otherwise. */
size_t slots_replace_calls(const char *name, void *function, slots_look *last);

/* Writes a word that may be write-protected, and protects it again if the loader had. 0 if it cannot. */
int slots_write(void **slot, void *value);

#endif
