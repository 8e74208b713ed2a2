// SPDX-License-Identifier: Apache-2.0
// Suppression of signals raised by writes. They are sent to the writing thread (pipe(7),
// setrlimit(2)), so it can block them, and consume them before it unblocks them.

#define _GNU_SOURCE
#include "outrider_output.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

static const int raised_by_writes[] = {SIGPIPE, SIGXFSZ, SIGTTOU};
enum { RAISED_BY_WRITES = sizeof raised_by_writes / sizeof *raised_by_writes };

static void take_back(int number) {
#if defined(__APPLE__)
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    int taken;
    sigwait(&one, &taken);
#else
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    while (sigtimedwait(&one, NULL, &(struct timespec){0, 0}) < 0 && errno == EINTR) {}
#endif
}

void outrider_quiet_begin(outrider_quiet *quiet) {
    sigset_t blocked;
    sigemptyset(&blocked);
    for (int index = 0; index < RAISED_BY_WRITES; index++) {
        sigaddset(&blocked, raised_by_writes[index]);
    }
    sigemptyset(&quiet->pending);
    pthread_sigmask(SIG_BLOCK, &blocked, &quiet->mask);
    sigpending(&quiet->pending);
}

void outrider_quiet_end(const outrider_quiet *quiet) {
    int saved = errno;
    sigset_t now;
    sigemptyset(&now);
    sigpending(&now);
    for (int index = 0; index < RAISED_BY_WRITES; index++) {
        int number = raised_by_writes[index];
        bool is_ours = sigismember(&now, number) == 1 && sigismember(&quiet->pending, number) != 1;
        if (is_ours) take_back(number);
    }
    pthread_sigmask(SIG_SETMASK, &quiet->mask, NULL);
    errno = saved;
}
