/* SPDX-License-Identifier: Apache-2.0
 *
 * A server on the shim of libmicrohttpd that acts like a small endpoint, and counts the objects
 * that it creates and releases. Part of microhttpd.c. */
#ifndef OUTRIDER_SANITIZERS_SERVER_H
#define OUTRIDER_SANITIZERS_SERVER_H

#include "CMicroHTTPD/quirks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
  connection_limit = 48,
  idle_seconds = 120,
  connection_memory = 32 << 10,
  stack_size = 1 << 20,
  most_fields = 100,
  large_size = 4 << 20,
  /* Timeout of any operation in milliseconds, and of the whole test in seconds. A busy machine
   * takes a tenth of them. */
  patience = 60 * 1000,
  whole_limit = 540
};

static atomic_long opened, closed, targets, completions, bodies, releases, waiting;
static atomic_ulong checks, handled;
static unsigned long sent;
static const char *subject = "";
static outrider_mhd_quirks quirks;
static int is_unix;

#define CHECK(condition, ...)                                                                      \
  do {                                                                                             \
    atomic_fetch_add(&checks, 1);                                                                  \
    if (!(condition)) fail(__LINE__, #condition, __VA_ARGS__);                                     \
  } while (0)

__attribute__((format(printf, 3, 4))) static _Noreturn void fail(int line, const char *what,
                                                                const char *format, ...) {
  va_list arguments;
  fprintf(stderr, "microhttpd.c:%d: %s, over %s: %s: ", line, subject, is_unix ? "Unix" : "TCP",
          what);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  _Exit(1);
}

static void on_alarm(int number) {
  static const char text[] = "microhttpd.c: timeout\n";
  (void)number;
  if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _Exit(3);
  _Exit(2);
}

static long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* ---- The server ---- */

/* A connection, from `opened` to `closed`. */
struct client {
  int descriptor;
};

/* A request, from `target` to `completed`. */
struct exchange {
  struct client *client;
  size_t target_size;
  enum { fresh, accepted, answered } stage;
  int hides;
};

/* A body, from `outrider_mhd_response` to its release. */
struct body {
  size_t size;
  char bytes[];
};

/* The connection that this library thread serves, once it has received a request line. */
static _Thread_local int current = -1;
static int server_context;

static intptr_t on_opened(void *context, int descriptor) {
  CHECK(context == &server_context, "wrong context");
  CHECK(fcntl(descriptor, F_GETFD) >= 0, "no descriptor %d", descriptor);
  struct client *client = malloc(sizeof *client);
  client->descriptor = descriptor;
  atomic_fetch_add(&opened, 1);
  return (intptr_t)client;
}

static void on_closed(void *context, intptr_t name) {
  struct client *client = (struct client *)name;
  CHECK(context == &server_context, "wrong context");
  CHECK(fcntl(client->descriptor, F_GETFD) >= 0, "the descriptor was closed first");
  if (current == client->descriptor) current = -1;
  free(client);
  atomic_fetch_add(&closed, 1);
}

static void *on_target(void *context, intptr_t name, const char *raw) {
  struct exchange *exchange = calloc(1, sizeof *exchange);
  CHECK(context == &server_context, "wrong context");
  exchange->client = (struct client *)name;
  exchange->target_size = raw == NULL ? 0 : strlen(raw);
  current = exchange->client->descriptor;
  atomic_fetch_add(&targets, 1);
  return exchange;
}

static void on_completed(void *context, void *state, int is_sent) {
  (void)is_sent;
  CHECK(context == &server_context, "wrong context");
  CHECK(state != NULL, "request without its state");
  free(state);
  atomic_fetch_add(&completions, 1);
}

/* As the endpoint does: it responds before the library's own refusal. */
static void on_log(void *context, const char *message) {
  CHECK(context == &server_context, "wrong context");
  CHECK(strlen(message) < 512, "a long message");
  if (strstr(message, "HTTP response code is ") == NULL || current < 0) return;
  static const char answer[] =
      "HTTP/1.1 400 Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  send(current, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  shutdown(current, SHUT_WR);
}

static ssize_t read_body(void *from, uint64_t position, char *into, size_t size) {
  const struct body *body = from;
  size_t start = position < body->size ? (size_t)position : body->size;
  size_t count = body->size - start < size ? body->size - start : size;
  memcpy(into, body->bytes + start, count);
  return (ssize_t)count;
}

static void release_body(void *body) {
  free(body);
  atomic_fetch_add(&releases, 1);
}

static int answer(void *connection, unsigned int status, size_t size, int hides) {
  struct body *body = malloc(sizeof *body + size);
  body->size = size;
  memset(body->bytes, 'x', size);
  atomic_fetch_add(&bodies, 1);
  void *response = outrider_mhd_response(size, read_body, body, release_body);
  CHECK(response != NULL, "no response");
  CHECK(outrider_mhd_add_header(response, "X-Hides", hides ? "1" : "0"), "no header");
  CHECK(!outrider_mhd_add_header(response, "X-Bad", "a\r\nb: c"), "a line break in a header");
  return outrider_mhd_respond(connection, status, response);
}

struct fields {
  size_t count;
  int is_refused;
};

static int visit(void *visitor, const char *name, size_t name_size, const char *value,
                 size_t value_size) {
  struct fields *fields = visitor;
  if (fields->count == most_fields) {
    fields->is_refused = 1;
    return 0;
  }
  fields->count++;
  CHECK(value != NULL || value_size == 0, "a size without a value");
  for (size_t each = 0; each < value_size; each++)
    if ((uint8_t)value[each] < 0x20 && value[each] != '\t') fields->is_refused = 1;
  for (size_t each = 0; each < name_size; each++)
    if ((uint8_t)name[each] <= 0x20 || name[each] == ':') fields->is_refused = 1;
  if (name_size == 0) fields->is_refused = 1;
  if (name_size == 14 && strncasecmp(name, "content-length", 14) == 0) fields->is_refused = 1;
  if (name_size == 17 && strncasecmp(name, "transfer-encoding", 17) == 0) fields->is_refused = 1;
  return 1;
}

/* Waits until either side ends the connection. */
static void wait_for_end(void *connection) {
  struct pollfd end = {outrider_mhd_descriptor(connection), POLLRDHUP, 0};
  atomic_fetch_add(&waiting, 1);
  CHECK(poll(&end, 1, patience) == 1, "the connection did not end");
}

static int on_request(void *context, outrider_mhd_connection connection, const char *path,
                      const char *method, const char *version, void *state) {
  struct exchange *exchange = state;
  CHECK(context == &server_context, "wrong context");
  CHECK(outrider_mhd_descriptor(connection) == exchange->client->descriptor, "wrong client");
  if (exchange->stage == fresh) {
    struct fields fields = {0};
    atomic_fetch_add(&handled, 1);
    exchange->hides =
        quirks.hides_bytes &&
        outrider_mhd_hides_bytes(connection, path, exchange->target_size, method, version);
    outrider_mhd_headers(connection, visit, &fields);
    unsigned int refusal = strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 ? 405
                           : exchange->hides || fields.is_refused                    ? 400
                           : strcmp(path, "/refused") == 0                           ? 403
                                                                                     : 0;
    exchange->stage = refusal == 0 ? accepted : answered;
    return refusal == 0 ? 1 : answer(connection, refusal, 20, exchange->hides);
  }
  if (exchange->stage == answered) return 0;
  exchange->stage = answered;
  if (strcmp(path, "/cut") == 0) return 0;
  if (strcmp(path, "/slow") == 0) wait_for_end(connection);
  /* A response that cannot be sent is released too. */
  if (strcmp(path, "/no-status") == 0)
    CHECK(!answer(connection, 99, 10, 0), "a two-digit status");
  size_t size = strcmp(path, "/large") == 0 ? large_size : strcmp(path, "/empty") == 0 ? 0 : 5;
  int queued = answer(connection, 200, size, exchange->hides);
  if (strcmp(path, "/twice") == 0) CHECK(!answer(connection, 200, 10, 0), "two responses");
  return queued;
}

static _Noreturn void on_panic(void *context, const char *file, unsigned int line,
                               const char *reason) {
  (void)context;
  fail(__LINE__, "the library panics", "%s:%u: %s", file, line, reason);
}

static const outrider_mhd_callbacks callbacks = {.context = &server_context,
                                                 .opened = on_opened,
                                                 .closed = on_closed,
                                                 .target = on_target,
                                                 .request = on_request,
                                                 .completed = on_completed,
                                                 .log = on_log};

static struct sockaddr_storage place;
static socklen_t place_size;

/* A listening socket, on a free port or an abstract name. */
static int listener(void) {
  int listening = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(listening >= 0, "no socket");
  memset(&place, 0, sizeof place);
  if (is_unix) {
    place.ss_family = AF_UNIX;
    place_size = sizeof(sa_family_t);
  } else {
    struct sockaddr_in *address = (struct sockaddr_in *)&place;
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    place_size = sizeof *address;
  }
  CHECK(bind(listening, (struct sockaddr *)&place, place_size) == 0, "%s", strerror(errno));
  CHECK(listen(listening, 128) == 0, "%s", strerror(errno));
  place_size = sizeof place;
  CHECK(getsockname(listening, (struct sockaddr *)&place, &place_size) == 0, "no socket name");
  return listening;
}

/* A daemon, and the thread that accepts its connections. */
struct server {
  void *daemon;
  int listening;
  pthread_t acceptor;
  atomic_int is_ending;
};

/* Accepts connections below the limit until the socket is shut down. */
static void *accept_all(void *argument) {
  struct server *server = argument;
  long handed = 0, closed_before = atomic_load(&closed);
  while (!atomic_load(&server->is_ending)) {
    int is_full = handed - (atomic_load(&closed) - closed_before) >= connection_limit;
    struct pollfd ready = {server->listening, POLLIN, 0};
    if (poll(&ready, !is_full, is_full ? 1 : -1) < 1) continue;
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    int descriptor = outrider_accept(server->listening, (struct sockaddr *)&peer, &size);
    if (descriptor < 0) continue;
    CHECK(peer.ss_family == (is_unix ? AF_UNIX : AF_INET), "unexpected address family");
    handed += outrider_mhd_serve(server->daemon, descriptor, (struct sockaddr *)&peer, size);
  }
  return NULL;
}

static struct server *start(unsigned int idle) {
  struct server *server = calloc(1, sizeof *server);
  server->listening = listener();
  outrider_mhd_limits limits = {connection_limit, idle, connection_memory, stack_size};
  server->daemon = outrider_mhd_start(&callbacks, limits, quirks.strictness);
  CHECK(server->daemon != NULL, "no daemon");
  CHECK(pthread_create(&server->acceptor, NULL, accept_all, server) == 0, "no thread");
  return server;
}

static void stop(struct server *server) {
  atomic_store(&server->is_ending, 1);
  shutdown(server->listening, SHUT_RDWR);
  CHECK(pthread_join(server->acceptor, NULL) == 0, "the thread did not end");
  outrider_mhd_stop(server->daemon);
  CHECK(close(server->listening) == 0, "the socket was closed already");
  free(server);
}

static int is_even(void) {
  return opened == closed && targets == completions && bodies == releases;
}

/* Waits until everything created is released, exactly once: more would not be even. */
static void settle(void) {
  for (long end = now() + patience; !is_even() && now() < end;) poll(NULL, 0, 1);
  CHECK(is_even(), "%ld/%ld connections, %ld/%ld requests, %ld/%ld bodies", closed, opened,
        completions, targets, releases, bodies);
}

#endif
