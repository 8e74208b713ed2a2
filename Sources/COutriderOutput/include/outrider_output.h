// SPDX-License-Identifier: Apache-2.0
// Output that does not harm the process whose descriptor it goes to.
//
// A write(2) can end the process by a signal: SIGPIPE if nobody reads the pipe, SIGXFSZ past the limit of file sizes,
// SIGTTOU from a terminal that stops background output. It can also block for ever, on a full pipe or a stopped
// terminal. Here such a line is dropped instead, and the caller counts it.
#ifndef OUTRIDER_OUTPUT_H
#define OUTRIDER_OUTPUT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

/// What a thread had before its writes were made quiet.
typedef struct {
    sigset_t mask;
    sigset_t pending;
} outrider_quiet;

/// Keeps the signals that a write can raise from this thread: SIGPIPE, SIGXFSZ, SIGTTOU. Costs two system calls.
void outrider_quiet_begin(outrider_quiet *quiet);

/// Takes back what our writes raised, and restores the thread's mask. errno stays. Costs two system calls and one for
/// each signal that was raised. A signal that was pending before stays pending.
void outrider_quiet_end(const outrider_quiet *quiet);

/// The most bytes that a line may have: so many go into a pipe all or none (PIPE_BUF, pipe(7)).
#define OUTRIDER_LINE_BYTES 4096

/// Writes a line to a descriptor that the process shares with us, as a rule standard error.
///
/// Never waits, raises no signal, leaves errno and the descriptor's flags alone. Thread-safe. Costs some ten system
/// calls; a pipe or a terminal is opened once more for the time of the call, since O_NONBLOCK of the descriptor itself
/// belongs to all who share it.
///
/// Returns whether the whole line was written. It is dropped if the write would block, if nobody reads, if the
/// descriptor is closed, if the file may not grow, and if it has more than OUTRIDER_LINE_BYTES.
bool outrider_say(int descriptor, const void *line, size_t count);

#endif
