/* SPDX-License-Identifier: Apache-2.0
 * What the sampler knows, as a profile that `go tool pprof` opens. */
#ifndef OUTRIDER_PPROF_H
#define OUTRIDER_PPROF_H

#include "buffer.h"

typedef struct {
    uint64_t interval;   /* mean distance of two samples, in bytes */
    int64_t start_ns;    /* when sampling began, since 1970 */
    bool may_demangle;   /* whether there is stack enough for the demanglers, which also allocate */
} outrider_pprof_options;

/* Adds a profile.proto to the output, not compressed.
 *
 * Takes the loader's lock and reads the files of what is loaded: tens of milliseconds for a large program.
 * Not for a hook or a signal handler; one caller at a time. Check `output->is_short` afterwards. */
void outrider_pprof_write(outrider_buffer *output, outrider_pprof_options options);

#endif
