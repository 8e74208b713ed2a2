/* SPDX-License-Identifier: Apache-2.0
 *
 * How the installed libmicrohttpd parses requests: detected by a test, not from its version.
 *
 * Releases differ in the requests that they accept. 0.9 takes a NUL for the end of a string and a
 * bare LF for the end of a line, and hides both. 1.0 refuses both at its strict level; at its usual
 * level it accepts bare LF and folded lines, and redirects a request line with two spaces. The next
 * release may differ again. So a daemon without threads is sent some clean requests and some that
 * two parsers could read differently, over socket pairs, and the results decide how the endpoint
 * runs the library. That takes some hundred system calls, and never blocks.
 */
#ifndef OUTRIDER_CMICROHTTPD_HABITS_H
#define OUTRIDER_CMICROHTTPD_HABITS_H

#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/un.h>
#include <unistd.h>

/* How to run the library. */
typedef struct outrider_mhd_quirks {
  /* For outrider_mhd_start. */
  int strictness;
  /* Whether it passes on requests with bytes that it hides, so that outrider_mhd_hides_bytes has to
   * check. */
  int hides_bytes;
  /* Whether every trial request ended as expected, or was found by that check. If not, another
   * parser may read bytes behind a request as a second one, so a connection must serve only one. */
  int is_safe;
} outrider_mhd_quirks;

/* The safe choice when the library could not be tested. */
static inline outrider_mhd_quirks outrider_mhd_unknown_quirks(void) {
  outrider_mhd_quirks quirks = {1, 0, 0};
  return quirks;
}

enum outrider_mhd_expectation { outrider_mhd_clean, outrider_mhd_dirty, outrider_mhd_either };

typedef struct outrider_mhd_trial {
  enum outrider_mhd_expectation expectation;
  const char *bytes;
  size_t size;
} outrider_mhd_trial;

/* The results at one level; the fields from `is_handed_over` on are those of the current trial. */
typedef struct outrider_mhd_findings {
  /* Whether a clean request was not passed on; whether a dirty one was passed on as if it were
   * clean; whether any request got a response other than one refusal. */
  int loses, hides, misleads;
  /* Whether the check reported a clean request, or missed a dirty one. */
  int look_is_wrong;

  int is_handed_over, is_visible, is_found;
  size_t target_size;
  size_t wire_size;
  char wire[2048];
} outrider_mhd_findings;

static inline intptr_t outrider_mhd_trial_opened(void *context, int descriptor) {
  (void)context;
  (void)descriptor;
  return 0;
}

static inline void outrider_mhd_trial_closed(void *context, intptr_t client) {
  (void)context;
  (void)client;
}

static inline void outrider_mhd_trial_completed(void *context, void *state, int is_sent) {
  (void)context;
  (void)state;
  (void)is_sent;
}

static inline void outrider_mhd_trial_log(void *context, const char *message) {
  (void)context;
  (void)message;
}

/* Whether all bytes are visible ASCII; space and tab are allowed if `has_spaces` is set. */
static inline int outrider_mhd_is_visible(const char *bytes, size_t size, int has_spaces) {
  for (size_t each = 0; each < size; each++) {
    int is_space = bytes[each] == ' ' || bytes[each] == '\t';
    if (is_space ? !has_spaces : bytes[each] < 0x21 || bytes[each] > 0x7E) return 0;
  }
  return 1;
}

static inline void *outrider_mhd_trial_target(void *context, intptr_t client, const char *raw) {
  outrider_mhd_findings *findings = (outrider_mhd_findings *)context;
  (void)client;
  findings->target_size = raw == NULL ? 0 : strlen(raw);
  findings->is_visible =
      findings->target_size > 0 && outrider_mhd_is_visible(raw, findings->target_size, 0);
  return findings;
}

/* A simple form of RequestGuard's checks: detects malformed fields. */
static inline int outrider_mhd_trial_field(void *visitor, const char *name, size_t name_size,
                                           const char *value, size_t value_size) {
  outrider_mhd_findings *findings = (outrider_mhd_findings *)visitor;
  if (name_size == 0 || !outrider_mhd_is_visible(name, name_size, 0) ||
      !outrider_mhd_is_visible(value, value_size, 1))
    findings->is_visible = 0;
  return 1;
}

static inline int outrider_mhd_trial_request(void *context, outrider_mhd_connection connection,
                                             const char *path, const char *method,
                                             const char *version, void *state) {
  outrider_mhd_findings *findings = (outrider_mhd_findings *)context;
  (void)state;
  findings->is_handed_over = 1;
  findings->is_found =
      outrider_mhd_hides_bytes(connection, path, findings->target_size, method, version);
  outrider_mhd_headers(connection, outrider_mhd_trial_field, findings);
  if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) findings->is_visible = 0;
  return 0;
}

/* Opens a non-blocking socket pair that child programs do not inherit; returns 0 on failure. */
static inline int outrider_mhd_trial_pair(int ends[2]) {
#ifdef __linux__
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0;
#else
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 0;
  for (int each = 0; each < 2; each++) {
    fcntl(ends[each], F_SETFD, FD_CLOEXEC);
    fcntl(ends[each], F_SETFL, O_NONBLOCK);
  }
  return 1;
#endif
}

/* Lets a daemon process a whole request; returns 0 if no connection could be opened. */
static inline int outrider_mhd_send_trial(void *daemon, const outrider_mhd_trial *trial,
                                          outrider_mhd_findings *findings) {
#ifdef MSG_NOSIGNAL
  const int quiet = MSG_NOSIGNAL;
#else
  const int quiet = 0;
#endif
  int ends[2];
  if (!outrider_mhd_trial_pair(ends)) return 0;
  struct sockaddr_un unnamed;
  memset(&unnamed, 0, sizeof unnamed);
  unnamed.sun_family = AF_UNIX;
  findings->is_handed_over = findings->is_visible = findings->is_found = 0;
  findings->wire_size = 0;
  int has_sent = send(ends[0], trial->bytes, trial->size, quiet) == (ssize_t)trial->size;
  shutdown(ends[0], SHUT_WR);
  if (!outrider_mhd_serve(daemon, ends[1], (struct sockaddr *)&unnamed, sizeof unnamed) ||
      !has_sent) {
    close(ends[0]);
    return 0;
  }
  int has_ended = 0;
  /* 0.9.75 and 1.0.1 finish after two rounds. */
  for (int round = 0; round < 64 && !has_ended; round++) {
    MHD_run((struct MHD_Daemon *)daemon);
    for (;;) {
      size_t room = sizeof findings->wire - 1 - findings->wire_size;
      ssize_t count = recv(ends[0], findings->wire + findings->wire_size, room, 0);
      if (count > 0) findings->wire_size += (size_t)count;
      has_ended = count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR);
      if (count <= 0) break;
    }
  }
  findings->wire[findings->wire_size] = 0;
  if (!has_ended) findings->misleads = 1;
  close(ends[0]);
  return 1;
}

/* Whether the output is empty, or one refusal: 4xx or 5xx, with a body of the length in its
 * head. */
static inline int outrider_mhd_is_one_refusal(const char *wire) {
  if (*wire == 0) return 1;
  if (strncmp(wire, "HTTP/1.1 4", 10) != 0 && strncmp(wire, "HTTP/1.1 5", 10) != 0) return 0;
  const char *end = strstr(wire, "\r\n\r\n");
  const char *length = strstr(wire, "\nContent-Length: ");
  if (end == NULL || length == NULL || length > end) return 0;
  return strtoul(length + 17, NULL, 10) == strlen(end + 4);
}

static inline void outrider_mhd_judge_trial(const outrider_mhd_trial *trial,
                                            outrider_mhd_findings *findings) {
  int is_taken = findings->is_handed_over && findings->is_visible;
  if (!outrider_mhd_is_one_refusal(findings->wire)) findings->misleads = 1;
  if (trial->expectation == outrider_mhd_clean) {
    if (!is_taken) findings->loses = 1;
    if (findings->is_found) findings->look_is_wrong = 1;
  }
  if (trial->expectation == outrider_mhd_dirty && is_taken) {
    findings->hides = 1;
    if (!findings->is_found) findings->look_is_wrong = 1;
  }
}

/* The trial requests. Those that 0.9 hides without a trace are left out; docs/threat-model.md lists
 * them. */
static inline const outrider_mhd_trial *outrider_mhd_trials(size_t *count) {
#define OUTRIDER_TRIAL(expectation, text) {outrider_mhd_##expectation, text, sizeof(text) - 1}
#define OUTRIDER_FIELDS(text) "GET / HTTP/1.1\r\nHost: a\r\n" text "\r\n"
  static const outrider_mhd_trial trials[] = {
      /* 0.9 at its strict level responds to this one itself, and twice. */
      OUTRIDER_TRIAL(either, "GET / HTTP/1.1\r\n\r\n"),
      OUTRIDER_TRIAL(clean, "GET /?a=b HTTP/1.1\r\nHost: a\r\n\r\n"),
      OUTRIDER_TRIAL(clean, "HEAD / HTTP/1.0\r\n\r\n"),
      OUTRIDER_TRIAL(clean, "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
      OUTRIDER_TRIAL(clean, OUTRIDER_FIELDS("A:b\r\nB: \t c d \t\r\nC:\r\nD: \r\n")),
      OUTRIDER_TRIAL(dirty, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
      OUTRIDER_TRIAL(dirty, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
      OUTRIDER_TRIAL(dirty, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
      OUTRIDER_TRIAL(dirty, "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n"),
      OUTRIDER_TRIAL(dirty, "GET /\0a HTTP/1.1\r\nHost: a\r\n\r\n"),
      OUTRIDER_TRIAL(dirty, "GET\0A / HTTP/1.1\r\nHost: a\r\n\r\n"),
      OUTRIDER_TRIAL(dirty, "GET / HTTP/1.1\0\r\nHost: a\r\n\r\n"),
      OUTRIDER_TRIAL(dirty, OUTRIDER_FIELDS("A: b\0c\r\n")),
      OUTRIDER_TRIAL(dirty, OUTRIDER_FIELDS("A\0: b\r\n")),
      OUTRIDER_TRIAL(dirty, "GET / HTTP/1.1\nHost: a\r\n\r\n"),
      OUTRIDER_TRIAL(dirty, OUTRIDER_FIELDS("A: b\nC: d\r\n")),
      OUTRIDER_TRIAL(dirty, "GET / HTTP/1.1\r\nHost: a\r\n\n"),
      OUTRIDER_TRIAL(dirty, OUTRIDER_FIELDS("A: b\rC: d\r\n")),
      OUTRIDER_TRIAL(dirty, OUTRIDER_FIELDS("A: b\r\n c\r\n")),
      OUTRIDER_TRIAL(dirty, OUTRIDER_FIELDS("A: b\r\n\tc\r\n")),
      OUTRIDER_TRIAL(dirty, "GET / HTTP/1.1\r\n A: b\r\nHost: a\r\n\r\n"),
      OUTRIDER_TRIAL(dirty, OUTRIDER_FIELDS("A : b\r\n")),
      OUTRIDER_TRIAL(dirty, OUTRIDER_FIELDS("A\r\n")),
      OUTRIDER_TRIAL(dirty, OUTRIDER_FIELDS(": b\r\n")),
  };
#undef OUTRIDER_TRIAL
#undef OUTRIDER_FIELDS
  *count = sizeof trials / sizeof *trials;
  return trials;
}

/* Tests the library at one level, until a test fails; returns 0 if it could not be tested. */
static inline int outrider_mhd_try_level(int strictness, outrider_mhd_findings *findings) {
  memset(findings, 0, sizeof *findings);
  const outrider_mhd_callbacks callbacks = {findings,
                                            outrider_mhd_trial_opened,
                                            outrider_mhd_trial_closed,
                                            outrider_mhd_trial_target,
                                            outrider_mhd_trial_request,
                                            outrider_mhd_trial_completed,
                                            outrider_mhd_trial_log};
  void *daemon = outrider_mhd_start_without_threads(&callbacks, strictness);
  if (daemon == NULL) return 0;
  size_t count = 0;
  const outrider_mhd_trial *trials = outrider_mhd_trials(&count);
  int is_tried = 1;
  for (size_t each = 0; each < count && is_tried; each++) {
    is_tried = outrider_mhd_send_trial(daemon, &trials[each], findings);
    if (is_tried) outrider_mhd_judge_trial(&trials[each], findings);
    if (findings->loses || findings->misleads) break;
  }
  outrider_mhd_stop(daemon);
  return is_tried;
}

/* Tests the library, the strict level first; returns 0 if it could not be tested for lack of
 * descriptors or memory, or because a system call failed. Otherwise it always succeeds.
 * Thread-safe. */
static inline int outrider_mhd_find_quirks(outrider_mhd_quirks *quirks) {
  *quirks = outrider_mhd_unknown_quirks();
  for (int strictness = 1; strictness >= 0; strictness--) {
    outrider_mhd_findings findings;
    if (!outrider_mhd_try_level(strictness, &findings)) return 0;
    if (findings.loses || findings.misleads) continue;
    if (findings.hides && findings.look_is_wrong) continue;
    quirks->strictness = strictness;
    quirks->hides_bytes = findings.hides;
    quirks->is_safe = 1;
    return 1;
  }
  return 1;
}

#endif
