/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients of the server in server.h: they send raw bytes, all at once or one by one, and judge the
 * response. Part of microhttpd.c. */
#ifndef OUTRIDER_SANITIZERS_CLIENT_H
#define OUTRIDER_SANITIZERS_CLIENT_H

#include "server.h"

/* ---- Requests ---- */

struct text {
  char *bytes;
  size_t size;
};

static struct text add_bytes(struct text text, const char *bytes, size_t size) {
  text.bytes = realloc(text.bytes, text.size + size + 1);
  if (size > 0) memcpy(text.bytes + text.size, bytes, size);
  text.size += size;
  return text;
}

static struct text add(struct text text, const char *more) {
  return add_bytes(text, more, strlen(more));
}

static struct text repeat(struct text text, const char *more, size_t count) {
  while (count-- > 0) text = add(text, more);
  return text;
}

static struct text of(const char *bytes) { return add((struct text){0}, bytes); }

/* The bytes of a literal, NULs included. */
#define OF(literal) add_bytes((struct text){0}, literal, sizeof(literal) - 1)

static int dial(void) {
  int wire = socket(place.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct timeval limit = {patience / 1000, 0};
  int yes = 1;
  CHECK(wire >= 0, "%s", strerror(errno));
  setsockopt(wire, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (!is_unix) setsockopt(wire, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  CHECK(connect(wire, (struct sockaddr *)&place, place_size) == 0, "%s", strerror(errno));
  return wire;
}

/* Sends in pieces of `step`; stops when the server has closed the connection. */
static void say(int wire, const char *bytes, size_t size, size_t step) {
  sent++;
  for (size_t start = 0; start < size;) {
    size_t count = size - start < step ? size - start : step;
    ssize_t done = send(wire, bytes + start, count, MSG_NOSIGNAL);
    if (done < 0) {
      CHECK(errno == EPIPE || errno == ECONNRESET, "%s", strerror(errno));
      return;
    }
    start += (size_t)done;
  }
}

/* Ends a TCP connection with a reset. */
static void reset(int wire) {
  struct linger linger = {1, 0};
  setsockopt(wire, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  close(wire);
}

/* ---- Responses ---- */

struct reply {
  /* 0 if the connection ended without a response. */
  int status;
  /* The server's finding; -1 if the library itself refused. */
  int hides;
  size_t size;
};

/* Reads up to `size` bytes; fewer if the connection ends. */
static size_t hear(int wire, char *into, size_t size) {
  size_t count = 0;
  while (count < size) {
    struct pollfd ready = {wire, POLLIN, 0};
    CHECK(poll(&ready, 1, patience) == 1, "neither a response nor the end of the connection");
    ssize_t done = recv(wire, into + count, size - count, 0);
    if (done <= 0) {
      CHECK(done == 0 || errno == ECONNRESET, "%s", strerror(errno));
      return count;
    }
    count += (size_t)done;
  }
  return count;
}

/* Reads the next response of a connection, byte by byte so that the following one stays unread. */
static struct reply listen_to(int wire, int has_body) {
  char head[2048], *field;
  size_t size = 0;
  struct reply reply = {0, -1, 0};
  do {
    if (size == sizeof head - 1 || hear(wire, head + size, 1) == 0) return reply;
    head[++size] = 0;
  } while (size < 4 || memcmp(head + size - 4, "\r\n\r\n", 4) != 0);
  CHECK(sscanf(head, "HTTP/1.%*1[01] %d ", &reply.status) == 1, "not a response: %s", head);
  if ((field = strstr(head, "\nX-Hides: ")) != NULL) reply.hides = field[10] - '0';
  field = strstr(head, "\nContent-Length: ");
  size_t expected = field == NULL || !has_body ? 0 : strtoul(field + 17, NULL, 10);
  static char piece[64 << 10];
  while (reply.size < expected) {
    size_t rest = expected - reply.size;
    size_t count = hear(wire, piece, rest < sizeof piece ? rest : sizeof piece);
    if (count == 0) break;
    for (size_t each = 0; reply.hides >= 0 && each < count; each += 4093)
      CHECK(piece[each] == 'x', "wrong body");
    reply.size += count;
  }
  return reply;
}

/* Reads until the other side ends the connection. */
static void hear_end(int wire) {
  static char rest[64 << 10];
  while (hear(wire, rest, sizeof rest) > 0) continue;
}

/* Sends a request over its own connection, and shuts down its sending side. */
static struct reply ask(struct text text, size_t step) {
  int wire = dial();
  say(wire, text.bytes, text.size, step);
  shutdown(wire, SHUT_WR);
  struct reply reply = listen_to(wire, text.size < 4 || memcmp(text.bytes, "HEAD", 4) != 0);
  hear_end(wire);
  close(wire);
  return reply;
}

enum expectation {
  /* A page responds, and nothing is hidden. */
  clean,
  /* No page responds, but nothing is hidden. */
  refused,
  /* No page responds: the library or the server refuses, or the connection ends without a
   * response. */
  unanswered,
  /* A page responds only if nothing is hidden. */
  anything
};

/* The expectation depends on whether the library passes on hidden bytes, as 0.9 does, or is strict
 * itself, as 1.0 can be. */
static enum expectation by_habit(enum expectation if_handed_over, enum expectation if_strict) {
  return quirks.hides_bytes ? if_handed_over : if_strict;
}

static void judge(struct reply reply, enum expectation expectation) {
  int is_answered = reply.status == 200;
  CHECK(!is_answered || reply.hides == 0, "a page responded to a request with hidden bytes");
  if (expectation == clean) CHECK(is_answered, "%d, hides %d", reply.status, reply.hides);
  if (expectation == refused)
    CHECK(reply.status >= 400 && reply.hides == 0, "%d, hides %d", reply.status, reply.hides);
  if (expectation == unanswered)
    CHECK(reply.status == 0 || reply.status >= 400, "%d, hides %d", reply.status, reply.hides);
}

/* Sends the request at once and byte by byte. */
static void expect(const char *name, enum expectation expectation, struct text text) {
  subject = name;
  judge(ask(text, text.size), expectation);
  judge(ask(text, 1), expectation);
  settle();
  free(text.bytes);
}

#define REST " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

static void expect_target(const char *name, enum expectation expectation, struct text target) {
  struct text text = add_bytes(of("GET "), target.bytes, target.size);
  free(target.bytes);
  expect(name, expectation, add(text, REST));
}

static void expect_fields(const char *name, enum expectation expectation, struct text fields) {
  struct text text = add_bytes(of("GET / HTTP/1.1\r\nHost: a\r\n"), fields.bytes, fields.size);
  free(fields.bytes);
  expect(name, expectation, add(text, "Connection: close\r\n\r\n"));
}

#endif
