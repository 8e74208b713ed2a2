// SPDX-License-Identifier: Apache-2.0
// Output that cannot harm the process that owns the descriptor.
//
// A write(2) can end the process by a signal: SIGPIPE if a pipe has no reader, SIGXFSZ past the
// file size limit, SIGTTOU from a terminal that stops background output. It can also block forever,
// on a full pipe or a stopped terminal. Here such a line is dropped instead, and the caller counts
// it.
#ifndef OUTRIDER_OUTPUT_H
#define OUTRIDER_OUTPUT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

/// A thread's signal state before its writes were made quiet.
typedef struct {
    sigset_t mask;
    sigset_t pending;
} outrider_quiet;

/// Blocks the signals that a write can raise in this thread: SIGPIPE, SIGXFSZ, SIGTTOU. Costs two
/// system calls.
void outrider_quiet_begin(outrider_quiet *quiet);

/// Consumes the signals that our writes raised, and restores the thread's mask. Keeps errno. Costs
/// two system calls, and one for each raised signal. A signal that was pending before stays
/// pending.
void outrider_quiet_end(const outrider_quiet *quiet);

/// The maximum length of a line in bytes: a pipe accepts this many at once or none (PIPE_BUF,
/// pipe(7)).
#define OUTRIDER_LINE_BYTES 4096

/// Writes a line to a descriptor that is shared with the service, usually standard error.
///
/// Never blocks, raises no signal, and leaves errno and the descriptor's flags alone. Thread-safe.
/// Costs about ten system calls; a pipe or a terminal is reopened for the call, since O_NONBLOCK on
/// the descriptor itself would affect all its users.
///
/// Returns whether the whole line was written. It is dropped if the write would block, if there is
/// no reader, if the descriptor is closed, if the file may not grow, or if it has more than
/// OUTRIDER_LINE_BYTES.
bool outrider_write_line(int descriptor, const void *line, size_t count);

#endif
