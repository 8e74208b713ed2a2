/* SPDX-License-Identifier: Apache-2.0
 *
 * The shim of libmicrohttpd under the sanitizers, with the real library: a server that acts like a
 * small endpoint (server.h), and clients that send valid requests and every kind of malformed input
 * (client.h), over TCP and over a Unix socket.
 *
 * The requirements: for any input, each request, connection and body is released exactly once,
 * nothing hangs, and a page responds only to requests without hidden bytes.
 *
 *   microhttpd [seed]
 */
#define _GNU_SOURCE
#include "trying.h"

/* ---- The tests ---- */

static void test_table(void) {
  expect_target("GET", clean, of("/"));
  expect("HEAD", clean, of("HEAD /" REST));
  expect("HTTP/1.0", clean, of("GET / HTTP/1.0\r\n\r\n"));
  expect("HTTP/1.1 without fields", by_habit(clean, unanswered), of("GET / HTTP/1.1\r\n\r\n"));
  expect("two spaces before the target", unanswered, of("GET  /" REST));
  expect("spaces before the target", unanswered, of("GET    /" REST));
  expect("two spaces before the version", anything, of("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"));
  expect("an empty line before", clean, of("\r\nGET /" REST));
  expect("empty lines before", by_habit(clean, unanswered), of("\r\n\r\n\r\nGET /" REST));
  expect("an empty value", clean, of("GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB: \r\nC:\t\r\n\r\n"));
  expect_target("an encoded path", clean, of("/%41%2f%20"));
  /* 1.0.10 itself refuses these two. */
  expect_target("a path with an encoded NUL", anything, of("/%00"));
  expect_target("a path with a broken escape", anything, of("/%zz%"));
  expect_target("? alone", clean, of("/?"));
  expect_target("??", clean, of("/??"));
  expect_target("an empty path and a query", clean, of("?a=b"));
  expect_target("an argument", clean, of("/?a=b"));
  expect_target("a query of separators", clean, of("/?&&==&=&"));
  expect_target("500 arguments", clean, repeat(of("/?a"), "&a", 499));
  expect_target("5,000 arguments", clean, repeat(of("/?a"), "&a", 4999));
  expect_target("5,000 arguments, with values", anything, repeat(of("/?a=b"), "&a=b", 4999));
  expect_target("a body of nothing", clean, of("/empty"));
  expect_target("a body of 4 MiB", clean, of("/large"));
  expect("HEAD of 4 MiB", clean, of("HEAD /large" REST));
  expect_target("a second answer", clean, of("/twice"));
  expect_target("a status that cannot be", clean, of("/no-status"));
  expect_fields("a long field", clean, add(repeat(of("A: "), "b", 10000), "\r\n"));
  expect_fields("a cookie", clean, of("Cookie: a=b; c=\"d\"; e\r\n"));
  expect_fields("80 fields", clean, repeat((struct text){0}, "A: b\r\n", 80));

  expect_target("a page that refuses", refused, of("/refused"));
  expect("POST", refused, of("POST /" REST));
  expect("an unknown method", refused, of("BREW /" REST));
  expect("a body", refused, of("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"));
  expect("chunks", refused,
         of("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"));
  expect("a body that waits", refused,
         of("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"));
  expect_fields("a CR in a value", by_habit(refused, unanswered), of("A: b\rc\r\n"));
  expect_fields("a CR before CR LF", by_habit(refused, unanswered), of("A: b\r\r\n"));
  expect_fields("a space in a name", by_habit(refused, unanswered), of("A b: c\r\n"));
  expect("a field that begins with a space", by_habit(refused, unanswered),
         of("GET / HTTP/1.1\r\n A: b\r\nHost: a\r\n\r\n"));
  expect_fields("200 fields", refused, repeat((struct text){0}, "A: b\r\n", 200));

  expect_target("a page that cuts", unanswered, of("/cut"));
  expect_target("a target of 40 KB", unanswered, repeat(of("/"), "a", 40000));
  expect_target("a query of 40 KB", unanswered, repeat(of("/?"), "a", 40000));
  expect_fields("a field of 40 KB", unanswered, add(repeat(of("A: "), "b", 40000), "\r\n"));
  expect_fields("a name of 40 KB", unanswered,
                add(repeat((struct text){0}, "a", 40000), ": b\r\n"));
  expect_fields("2,000 fields", unanswered, repeat((struct text){0}, "A: b\r\n", 2000));
  expect_fields("a flood of cookies", by_habit(unanswered, clean),
                add(repeat(of("Cookie: "), "a=b;", 3000), "\r\n"));
  /* Two reasons to refuse: then 0.9.75 does not report the end of the request. */
  expect_fields("a cookie of 17 KB and a bad length", unanswered,
                add(repeat(of("Content-Length: x\r\nCookie: a="), "b", 17000), "\r\n"));
  expect_fields("a cookie of 15 KB", anything, add(repeat(of("Cookie: a="), "b", 15000), "\r\n"));
  expect_fields("cookies of separators", anything, of("Cookie: =;;,\"=\"\";=,= \r\n"));
  expect_fields("a field without colon", unanswered, of("A\r\n"));
  expect("no version", unanswered, of("GET /\r\nHost: a\r\n\r\n"));
  expect("no target", unanswered, of("GET HTTP/1.1\r\nHost: a\r\n\r\n"));
  expect("a method alone", unanswered, of("GET\r\n\r\n"));
  expect("a method and a space", unanswered, of("GET \r\n\r\n"));
  expect("HTTP/0.9", unanswered, of("GET / HTTP/0.9\r\n\r\n"));
  expect("HTTP/2.0", unanswered, of("GET / HTTP/2.0\r\n\r\n"));
  expect("HTTP/11", unanswered, of("GET / HTTP/11\r\n\r\n"));
  expect("spaces behind the version", unanswered, of("GET / HTTP/1.1  \r\n\r\n"));
  expect("empty lines alone", unanswered, of("\r\n\r\n\r\n\r\n"));
  expect("nothing", unanswered, of(""));
  expect("a CR for each line", unanswered, of("GET / HTTP/1.1\rHost: a\r\r"));
  expect("a CR in the first line", unanswered, of("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"));
  expect("LF CR", unanswered, of("GET / HTTP/1.1\n\rHost: a\n\r\n\r"));

  expect("a bare LF everywhere", unanswered, of("GET / HTTP/1.1\nHost: a\n\n"));
  expect("a bare LF in the first line", unanswered, of("GET / HTTP/1.1\nHost: a\r\n\r\n"));
  expect("a bare LF at the end", unanswered, of("GET / HTTP/1.1\r\nHost: a\r\n\n"));
  expect_fields("a bare LF", unanswered, of("A: b\n"));
  expect_fields("a bare LF and a space", unanswered, of("A: b\n c\r\n"));
  expect_fields("a name of nothing", unanswered, of(": c\r\n"));
  /* A known gap: for 0.9.75, a line with only a colon ends the head; with a bare LF it leaves two
   * NULs, as the empty line does. So the bytes that follow are read as the next request. */
  expect_fields("a colon and a bare LF", anything, of(":\n"));
  expect_fields("a colon alone", unanswered, of(":\r\n"));
  expect_fields("obs-fold", unanswered, of("A: b\r\n c\r\n"));
  expect_fields("obs-fold with a tab", unanswered, of("A: b\r\n\tc\r\n"));
  expect_fields("obs-fold of nothing", unanswered, of("A: b\r\n \r\n"));
  expect_fields("obs-fold over lines", unanswered, repeat(of("A: b\r\n"), " c\r\n", 50));
  expect_fields("obs-fold of 10 KB", unanswered,
                add(repeat(of("A: b\r\n "), "c", 10000), "\r\n"));
  expect_target("a NUL and 5,000 arguments", unanswered,
                repeat(OF("/\0?a"), "&a", 4999));
  expect_target("a NUL, a version and 5,000 arguments", unanswered,
                repeat(OF("/\0HTTP/1.1\0\0?a"), "&a", 4999));
  settle();
}

static void test_connections(void) {
  subject = "keep-alive";
  static const char request[] = "GET /?a=b HTTP/1.1\r\nHost: a\r\n\r\n";
  int wire = dial();
  for (int each = 0; each < 50; each++) {
    say(wire, request, sizeof request - 1, each % 2 == 0 ? sizeof request : 7);
    struct reply reply = listen_to(wire, 1);
    judge(reply, clean);
    CHECK(reply.size == 5, "%zu bytes", reply.size);
  }
  subject = "pipelining";
  struct text many = repeat((struct text){0}, request, 60);
  say(wire, many.bytes, many.size, many.size);
  for (int each = 0; each < 60; each++) judge(listen_to(wire, 1), clean);
  say(wire, many.bytes, many.size, 11);
  for (int each = 0; each < 60; each++) judge(listen_to(wire, 1), clean);
  free(many.bytes);
  subject = "pipelining behind a hidden byte";
  many = add(OF("GET /\0a HTTP/1.1\r\nHost: a\r\n\r\n"), request);
  say(wire, many.bytes, many.size, many.size);
  judge(listen_to(wire, 1), unanswered);
  hear_end(wire);
  close(wire);
  free(many.bytes);

  subject = "a client that resets";
  for (int each = 0; each < 20; each++) {
    static const char large[] = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
    static char some[256 << 10];
    wire = dial();
    say(wire, large, sizeof large - 1, sizeof large);
    CHECK(hear(wire, some, (size_t)each * 13001) == (size_t)each * 13001, "too short a body");
    reset(wire);
  }
  settle();

  subject = "more connections than are allowed";
  int crowd[connection_limit + 20], answered_count = 0;
  size_t count = sizeof crowd / sizeof *crowd;
  for (size_t each = 0; each < count; each++) crowd[each] = dial();
  for (size_t each = 0; each < count; each++) {
    say(crowd[each], request, sizeof request - 1, sizeof request);
    shutdown(crowd[each], SHUT_WR);
    struct reply reply = listen_to(crowd[each], 1);
    answered_count += reply.status == 200;
    hear_end(crowd[each]);
    close(crowd[each]);
  }
  CHECK(answered_count >= connection_limit, "%d responses", answered_count);
  settle();
}

static const char small[] = "GET /a?b HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n";
enum { small_size = sizeof small - 1 };

static void test_closing(void) {
  for (size_t size = 0; size < small_size; size++) {
    subject = "a client that disconnects during a request";
    int wire = dial();
    say(wire, small, size, size % 3 + 1);
    if (size % 2 == 0) reset(wire);
    else close(wire);
    wire = dial();
    say(wire, small, size, small_size);
    close(wire);
    subject = "a client that half-closes";
    judge(ask((struct text){(char *)small, size}, small_size), unanswered);
  }
  settle();
}

/* A NUL at each offset of a request: no page responds. */
static void test_nul(void) {
  for (size_t where = 0; where <= small_size; where++) {
    struct text text = add_bytes((struct text){0}, small, where);
    text = add_bytes(text, "", 1);
    text = add_bytes(text, small + where, small_size - where);
    /* At the end it is the start of another request. */
    expect("a NUL between bytes", where < small_size ? unanswered : clean, text);
  }
  for (size_t where = 0; where < small_size; where++) {
    struct text text = add_bytes((struct text){0}, small, small_size);
    /* NUL LF in place of CR LF cannot be distinguished: the library makes two NULs of each. Nothing
     * is hidden then: the line ends where it would end. */
    int is_line_end = small[where] == '\r' && where > 20;
    text.bytes[where] = 0;
    expect("a NUL for a byte", is_line_end ? anything : unanswered, text);
  }
  for (size_t where = 0; where < small_size; where++) {
    if (small[where] != '\r') continue;
    struct text text = add_bytes((struct text){0}, small, where);
    expect("a bare LF", unanswered, add(text, small + where + 1));
  }
  settle();
}

static uint64_t noise;

static uint32_t random_below(uint32_t bound) {
  noise ^= noise << 13;
  noise ^= noise >> 7;
  noise ^= noise << 17;
  return (uint32_t)(noise >> 16) % bound;
}

/* Whether a request that got a response from a page was unambiguous. */
static int is_plain(struct text text) {
  size_t start = 0;
  /* The library skips leading lines that are empty, or begin with a NUL. */
  while (start < text.size &&
         (text.bytes[start] == 0 || text.bytes[start] == '\n' ||
          (text.bytes[start] == '\r' && start + 1 < text.size && text.bytes[start + 1] == '\n'))) {
    const char *end = memchr(text.bytes + start, '\n', text.size - start);
    if (end == NULL) return 0;
    start = (size_t)(end - text.bytes) + 1;
  }
  for (size_t line = start; line < text.size;) {
    const char *end = memchr(text.bytes + line, '\n', text.size - line);
    if (end == NULL) return 0;
    size_t size = (size_t)(end - text.bytes) - line;
    /* NUL LF is CR LF to the library; see above. */
    if (size == 0) return 0;
    /* Nor can colon LF be distinguished from the empty line; see the table. */
    if (size == 1 && end[-1] == ':') return line > start;
    if (end[-1] != '\r' && end[-1] != 0) return 0;
    if (size == 1) return line > start;
    if (memchr(text.bytes + line, 0, size - 1) != NULL) return 0;
    if (line > start && (text.bytes[line] == ' ' || text.bytes[line] == '\t')) return 0;
    line += size + 1;
  }
  return 0;
}

static void test_random(int rounds) {
  static const char dirt[] = {0, '\r', '\n', ' ', '\t', ':', '?', '&', '%', '/', 'H', '1', -1};
  int answers = 0;
  for (int round = 0; round < rounds; round++) {
    struct text text = {0};
    int kind = round % 4;
    subject = kind == 0 ? "random bytes" : kind == 1 ? "random dirt" : "a changed request";
    if (kind < 2) {
      for (uint32_t rest = random_below(400); rest > 0; rest--) {
        char byte = kind == 0 ? (char)random_below(256) : dirt[random_below(sizeof dirt)];
        text = add_bytes(text, &byte, 1);
      }
    } else {
      text = add_bytes(text, small, small_size);
      for (uint32_t rest = 1 + random_below(3); rest > 0; rest--) {
        uint32_t where = random_below((uint32_t)text.size);
        char byte = dirt[random_below(sizeof dirt)];
        if (random_below(3) == 0) {
          text.bytes[where] = byte;
        } else if (random_below(2) == 0) {
          text = add_bytes(text, &byte, 1);
          memmove(text.bytes + where + 1, text.bytes + where, text.size - where - 1);
          text.bytes[where] = byte;
        } else {
          memmove(text.bytes + where, text.bytes + where + 1, text.size - where - 1);
          text.size--;
        }
      }
    }
    for (int each = 0; each < 2; each++) {
      struct reply reply = ask(text, each == 0 ? text.size : 1);
      judge(reply, anything);
      if (reply.status != 200) continue;
      answers++;
      if (!is_plain(text)) {
        fwrite(text.bytes, 1, text.size, stderr);
        fail(__LINE__, "is_plain(text)", "round %d", round);
      }
    }
    free(text.bytes);
  }
  CHECK(answers > rounds / 20, "%d responses are too few to judge", answers);
  settle();
}

/* An idle connection is closed, at any stage. */
static void test_idle(void) {
  subject = "idle connections";
  struct server *server = start(3);
  static const size_t sizes[] = {0, 10, 20, 30, small_size - 1, small_size};
  int wires[sizeof sizes / sizeof *sizes];
  size_t count = sizeof sizes / sizeof *sizes;
  for (size_t each = 0; each < count; each++) {
    wires[each] = dial();
    say(wires[each], small, sizes[each], small_size);
  }
  for (size_t each = 0; each < count; each++) {
    if (sizes[each] == small_size) judge(listen_to(wires[each], 1), clean);
    hear_end(wires[each]);
    close(wires[each]);
  }
  settle();
  stop(server);
}

/* Stops with connections in every state. */
static void test_stop(void) {
  subject = "stopping";
  static const char *const requests[] = {"", "GET /a", "GET /a HTTP/1.1\r\nHost: a\r\n",
                                         "GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
                                         "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n",
                                         "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"};
  enum { kinds = sizeof requests / sizeof *requests, each_kind = 4 };
  for (int round = 0; round < 10; round++) {
    struct server *server = start(idle_seconds);
    int wires[kinds * each_kind];
    long before = opened;
    waiting = 0;
    for (int each = 0; each < kinds * each_kind; each++) {
      const char *request = requests[each % kinds];
      wires[each] = dial();
      say(wires[each], request, strlen(request), 4096);
      if (each % kinds == kinds - 1) judge(listen_to(wires[each], 1), clean);
    }
    long end = now() + patience;
    while ((opened < before + kinds * each_kind || waiting < each_kind) && now() < end)
      poll(NULL, 0, 1);
    CHECK(waiting == each_kind, "%ld of %d pages in progress", waiting, each_kind);
    stop(server);
    CHECK(is_even(), "%ld/%ld connections, %ld/%ld requests, %ld/%ld bodies", closed, opened,
          completions, targets, releases, bodies);
    for (int each = 0; each < kinds * each_kind; each++) {
      hear_end(wires[each]);
      close(wires[each]);
    }
  }
  subject = "stopping at once";
  for (int round = 0; round < 50; round++) {
    struct server *server = start(idle_seconds);
    int wire = dial();
    say(wire, small, small_size, small_size);
    stop(server);
    CHECK(is_even(), "not everything was released");
    hear_end(wire);
    close(wire);
  }
}

/* The number of the next free descriptor. */
static int next_descriptor(void) {
  int descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(descriptor);
  return descriptor;
}

int main(int count, char **arguments) {
  uint64_t seed = count > 1 ? strtoull(arguments[1], NULL, 10) : 20240501;
  printf("seed %llu\n", (unsigned long long)seed);
  fflush(stdout);
  signal(SIGALRM, on_alarm);
  alarm(whole_limit);
  outrider_mhd_set_panic(on_panic);
  test_quirks();
  for (is_unix = 0; is_unix < 2; is_unix++) {
    int free_descriptor = next_descriptor();
    noise = seed * 2 + 1;
    struct server *server = start(idle_seconds);
    test_table();
    test_connections();
    test_closing();
    test_nul();
    test_random(800);
    stop(server);
    CHECK(is_even(), "not everything was released");
    test_idle();
    test_stop();
    CHECK(next_descriptor() == free_descriptor, "a descriptor is still open");
  }
  printf("libmicrohttpd %s, %s, seed %llu: %lu requests sent, %lu seen by the handler, ",
         MHD_get_version(), quirks.hides_bytes ? "which hides bytes" : "which is strict",
         (unsigned long long)seed, sent, handled);
  printf("%ld connections, %lu checks\n", opened, checks);
  return 0;
}
