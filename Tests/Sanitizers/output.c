/* SPDX-License-Identifier: Apache-2.0
 * Log lines written to a descriptor of the host: whatever the descriptor is, a write must not end
 * the process, block it, or change the host's signals, errno or descriptor. */
#define _GNU_SOURCE
#include "check.h"
#include "outrider_output.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char line[] = "outrider: warning: a line\n";
enum { LENGTH = sizeof line - 1 };

/* Writes the line, and checks that nothing else changed. */
static bool say(int descriptor) {
    sigset_t mask, mask_after, pending;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    int flags = fcntl(descriptor, F_GETFL);
    errno = ENOTTY;
    bool is_taken = outrider_write_line(descriptor, line, LENGTH);
    CHECK(errno == ENOTTY);
    CHECK(fcntl(descriptor, F_GETFL) == flags);
    pthread_sigmask(SIG_BLOCK, NULL, &mask_after);
    sigpending(&pending);
    for (int number = 1; number < 32; number++) {
        CHECK(sigismember(&mask, number) == sigismember(&mask_after, number));
        CHECK(sigismember(&pending, number) != 1);
    }
    return is_taken;
}

static void fill(int descriptor) {
    char bytes[4096] = {0};
    int flags = fcntl(descriptor, F_GETFL);
    fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
    while (write(descriptor, bytes, sizeof bytes) > 0) {}
    while (write(descriptor, bytes, 1) > 0) {}
    fcntl(descriptor, F_SETFL, flags);
}

static void expect_line(int descriptor) {
    char bytes[64] = {0};
    CHECK(read(descriptor, bytes, sizeof bytes) == LENGTH);
    CHECK(memcmp(bytes, line, LENGTH) == 0);
}

/* For the two ends of a pipe or a socket: a line arrives at the first, and is dropped once the
 * second is full, or once the first is closed. Closes both. */
static void take_lines_until_the_reader_closes(const int ends[2]) {
    CHECK(say(ends[1]));
    expect_line(ends[0]);
    fill(ends[1]);
    CHECK(!say(ends[1]));
    close(ends[0]);
    CHECK(!say(ends[1]));
    close(ends[1]);
}

static void test_a_pipe(void) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    take_lines_until_the_reader_closes(ends);
    CHECK(!say(ends[1]));
}

/* If /proc does not permit opening the pipe again, the pipe itself is polled for readiness. */
static void test_a_pipe_of_another_user(void) {
    if (geteuid() != 0) return;
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK(seteuid(65534) == 0);
    take_lines_until_the_reader_closes(ends);
    CHECK(seteuid(0) == 0);
}

static void test_a_pipe_that_never_waits(void) {
    int ends[2];
    CHECK(pipe2(ends, O_NONBLOCK) == 0);
    take_lines_until_the_reader_closes(ends);
}

static void test_a_socket(int type) {
    int ends[2];
    CHECK(socketpair(AF_UNIX, type, 0, ends) == 0);
    take_lines_until_the_reader_closes(ends);
}

/* A file is written at the host's offset. */
static void test_a_file(void) {
    char name[] = "/tmp/outrider-output-XXXXXX";
    int file = mkstemp(name);
    CHECK(file >= 0 && unlink(name) == 0);
    CHECK(write(file, "before\n", 7) == 7);
    CHECK(say(file));
    CHECK(write(file, "after\n", 6) == 6);
    char bytes[128] = {0};
    CHECK(pread(file, bytes, sizeof bytes, 0) == 7 + LENGTH + 6);
    CHECK(strstr(bytes, "before\noutrider: warning: a line\nafter\n") == bytes);
    struct rlimit limit, none;
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    none = (struct rlimit){8, limit.rlim_max};
    CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0);
    CHECK(!say(file));
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(say(file));
    close(file);
}

static void test_a_terminal(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    CHECK(terminal >= 0);
    CHECK(say(terminal));
    fill(terminal);
    CHECK(!say(terminal));
    close(master);
    CHECK(!say(terminal));
    close(terminal);
}

static void test_what_cannot_be_written(void) {
    int null = open("/dev/null", O_RDONLY);
    CHECK(null >= 0);
    CHECK(!say(null));
    close(null);
    CHECK(!say(-1));
    char *much = calloc(1, OUTRIDER_LINE_BYTES + 1);
    CHECK(much && !outrider_write_line(STDERR_FILENO, much, OUTRIDER_LINE_BYTES + 1));
    free(much);
}

/* A signal that was pending for the host before is still pending. */
static void test_a_signal_of_the_host(void) {
    sigset_t one, pending;
    sigemptyset(&one);
    sigaddset(&one, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &one, NULL);
    raise(SIGPIPE);
    int ends[2];
    CHECK(pipe2(ends, O_NONBLOCK) == 0);
    close(ends[0]);
    CHECK(!outrider_write_line(ends[1], line, LENGTH));
    close(ends[1]);
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGPIPE) == 1);
    int number;
    sigwait(&one, &number);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
}

int main(void) {
    /* Ends the test if a write blocks forever. */
    alarm(60);
    test_a_pipe();
    test_a_pipe_of_another_user();
    test_a_pipe_that_never_waits();
    test_a_socket(SOCK_STREAM);
    test_a_socket(SOCK_DGRAM);
    test_a_file();
    test_a_terminal();
    test_what_cannot_be_written();
    test_a_signal_of_the_host();
    puts("output: a line is written at once or dropped, and the host's state is unchanged");
    return 0;
}
