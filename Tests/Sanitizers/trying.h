/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of the detection of the library's behaviour. Part of microhttpd.c. */
#ifndef OUTRIDER_SANITIZERS_TRYING_H
#define OUTRIDER_SANITIZERS_TRYING_H

#include "client.h"

#include <sys/resource.h>

/* The library's behaviour is detected, the same each time; without descriptors the detection fails
 * safely. */
static void test_quirks(void) {
  subject = "quirks";
  CHECK(outrider_mhd_find_quirks(&quirks), "the detection failed");
  CHECK(quirks.is_safe, "the library is not safe at any level");
  for (int each = 0; each < 20; each++) {
    outrider_mhd_quirks again;
    CHECK(outrider_mhd_find_quirks(&again), "the repeated detection failed");
    CHECK(again.strictness == quirks.strictness && again.hides_bytes == quirks.hides_bytes &&
              again.is_safe,
          "different results");
  }
  struct rlimit limit, none;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0, "no limit");
  none = limit;
  none.rlim_cur = 0;
  CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0, "the limit cannot be set");
  outrider_mhd_quirks unknown;
  int is_tried = outrider_mhd_find_quirks(&unknown);
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0, "the limit cannot be restored");
  CHECK(!is_tried && !unknown.is_safe && !unknown.hides_bytes, "no descriptors, yet detected");

  CHECK(outrider_mhd_is_one_refusal(""), "empty input");
  CHECK(outrider_mhd_is_one_refusal("HTTP/1.1 400 A\r\nContent-Length: 2\r\n\r\nab"), "one refusal");
  static const char *const others[] = {
      "HTTP/1.1 301 A\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 200 A\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 400 A\r\nContent-Length: 2\r\n\r\na",
      "HTTP/1.1 400 A\r\nContent-Length: 2\r\n\r\nHTTP/1.1 400 A\r\n\r\nab",
      "HTTP/1.1 400 A\r\n\r\nContent-Length: 2\r\n",
      "HTTP/1.1 400",
      "ab"};
  for (size_t each = 0; each < sizeof others / sizeof *others; each++)
    CHECK(!outrider_mhd_is_one_refusal(others[each]), "%s", others[each]);
}

#endif
