/* SPDX-License-Identifier: Apache-2.0
 * Writes the sampler's data as a profile for `go tool pprof`. */
#ifndef OUTRIDER_PPROF_H
#define OUTRIDER_PPROF_H

#include "buffer.h"

typedef struct {
    uint64_t interval;   /* mean distance between two samples, in bytes */
    int64_t start_ns;    /* when sampling started, since 1970 */
    bool may_demangle;   /* whether the stack suffices for the demanglers, which also allocate */
} outrider_pprof_options;

/* Appends an uncompressed profile.proto to the output.
 *
 * Takes the loader's lock and reads the files of loaded modules: tens of milliseconds for a large
 * program. Must not be called from a hook or a signal handler; one caller at a time. Check
 * `output->is_short` afterwards. */
void outrider_pprof_write(outrider_buffer *output, outrider_pprof_options options);

#endif
