# SPDX-License-Identifier: Apache-2.0
"""Raw requests, second part: request lines, floods, and input that is not HTTP/1.1."""

from raw import get
from raw_table import cut, ended, fields, judged, kept, line, refused, silent, target, unless_strict


def arguments(count: int) -> bytes:
    """A request with this many arguments in its query."""
    return target(b"/healthz?" + b"&".join([b"a"] * count))


def many_fields(count: int) -> bytes:
    """A request with this many header fields, including Host."""
    return fields(*[b"X-%d: b" % number for number in range(count - 1)])


METHODS = [
    *(
        refused(f"method-{name}", fields(method=name.encode("ascii")), 405)
        for name in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW", "get", "Get")
    ),
    refused("method-POST-with-body", fields(b"Content-Length: 5", method=b"POST") + b"hello", 400, 405),
    refused("method-POST-chunked", fields(b"Transfer-Encoding: chunked", method=b"POST") + b"0\r\n\r\n", 400, 405),
    refused("method-CONNECT", line(b"CONNECT localhost:80 HTTP/1.1"), 400, 405),
    refused("method-OPTIONS-star", line(b"OPTIONS * HTTP/1.1"), 400, 405),
    refused("method-junk", line(b"GE@T /healthz HTTP/1.1"), 400, 405),
    refused("method-GETX", line(b"GETX /healthz HTTP/1.1"), 405),
    refused("method-huge", line(b"G" * 5_000 + b" /healthz HTTP/1.1"), 400, 405),
    cut("method-NUL-inside", line(b"G\0ET /healthz HTTP/1.1"), 400, 405),
    cut("method-NUL-behind", line(b"GET\0 /healthz HTTP/1.1"), 400, 405),
    cut("method-NUL-and-more", line(b"GET\0POST /healthz HTTP/1.1"), 400, 405),
    cut("method-NUL-before", line(b"\0GET /healthz HTTP/1.1"), 400, 405),
    kept("HEAD", get(method="HEAD")),
]  # fmt: skip

TARGETS = [
    cut("NUL-in-path", target(b"/healthz\0")),
    cut("NUL-inside-path", target(b"/heal\0thz")),
    cut("NUL-instead-of-path", target(b"\0")),
    cut("NUL-first-in-path", target(b"/\0healthz")),
    cut("NUL-before-path", target(b"\0/healthz")),
    cut("NUL-in-query", target(b"/healthz?a=b\0c")),
    cut("NUL-instead-of-query", target(b"/healthz\0?a=b")),
    cut("NUL-before-version", line(b"GET /healthz \0HTTP/1.1")),
    cut("NUL-instead-of-space", line(b"GET /healthz\0HTTP/1.1"), 400, 505),
    cut("NUL-version-NUL-version", line(b"GET /healthz\0HTTP/1.1\0\0 HTTP/1.1")),
    cut("NUL-after-version", line(b"GET /healthz HTTP/1.1\0")),
    cut("NUL-and-second-line", target(b"/healthz\0 HTTP/1.1\r\nHost: a\r\n\r\n")),
    refused("percent-00", target(b"/healthz%00")),
    refused("percent-00-inside", target(b"/heal%00thz")),
    refused("percent-00-in-query", target(b"/healthz?a=%00")),
    refused("percent-00-in-name", target(b"/healthz?%00=b")),
    refused("percent-0", target(b"/healthz%0")),
    refused("percent-alone", target(b"/healthz%")),
    refused("percent-zz", target(b"/healthz%zz")),
    refused("percent-0-in-query", target(b"/healthz?a=%0")),
    refused("percent-zz-in-query", target(b"/healthz?a=%zz")),
    refused("percent-sign-00", target(b"/healthz%+0")),
    refused("percent-u", target(b"/healthz%u0000")),
    refused("two-slashes", target(b"//healthz")),
    refused("two-slashes-inside", target(b"/a//healthz")),
    refused("dot-dot", target(b"/a/../healthz")),
    refused("dot-dot-end", target(b"/healthz/..")),
    refused("backslash", target(b"/a\\..\\healthz")),
    refused("no-slash", target(b"healthz")),
    refused("star", target(b"*")),
    refused("absolute-form", target(b"http://localhost/healthz")),
    refused("absolute-form-https", target(b"https://evil.example/healthz")),
    refused("space-in-path", target(b"/heal thz")),
    refused("space-in-query", target(b"/healthz?a= b")),
    refused("control-in-path", target(b"/healthz\x01")),
    refused("DEL-in-path", target(b"/healthz\x7f")),
    refused("bare-CR-in-path", target(b"/healthz\rX"), 400, 505),
    kept("percent-encoded-path", target(b"/health%7A")),
    kept("query-with-slashes-and-dots", target(b"/healthz?a=//b&c=..")),
    kept("query-empty", target(b"/healthz?")),
    kept("unknown-page", target(b"/nothing"), 404),
    refused("overlong-slash", target(b"/healthz%C0%AF")),
    refused("overlong-NUL", target(b"/healthz%C0%80")),
    refused("not-UTF-8", target(b"/healthz%FF%FE")),
    kept("twice-encoded-NUL", target(b"/healthz%2500"), 404),
]

VERSIONS = [
    refused("HTTP-0.9", b"GET /healthz\r\n\r\n", 400, 505),
    refused("HTTP-0.9-fields", line(b"GET /healthz"), 400, 505),
    refused("HTTP-0.9-named", line(b"GET /healthz HTTP/0.9"), 400, 505),
    refused("HTTP-2.0", line(b"GET /healthz HTTP/2.0"), 505),
    refused("HTTP-2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    refused("version-lower-case", line(b"GET /healthz http/1.1"), 400, 505),
    refused("version-junk", line(b"GET /healthz JUNK"), 400, 505),
    refused("version-1.10", line(b"GET /healthz HTTP/1.10"), 400, 505),
    refused("version-missing-space", line(b"GET /healthzHTTP/1.1"), 400, 505),
    # RFC 9112, 2.6: a higher minor version is processed as the one we support.
    judged("HTTP-1.7", line(b"GET /healthz HTTP/1.7"), 400, 505),
    ended("HTTP-1.0", b"GET /healthz HTTP/1.0\r\n\r\n"),
    ended("close", get("/healthz", "Connection: close")),
    silent("tabs-as-separators", line(b"GET\t/healthz\tHTTP/1.1")),
    refused("tab-before-version", line(b"GET /healthz\tHTTP/1.1"), 400, 505),
    # Some parsers read them as one space, others as an empty target or as part of the target.
    refused("two-spaces", line(b"GET  /healthz HTTP/1.1")),
    refused("two-spaces-before-version", line(b"GET /healthz  HTTP/1.1")),
    refused("two-spaces-twice", line(b"GET  /healthz  HTTP/1.1")),
    refused("three-spaces", line(b"GET   /healthz HTTP/1.1")),
    silent("space-first", line(b" GET /healthz HTTP/1.1")),
    refused("space-last", line(b"GET /healthz HTTP/1.1 "), 400, 505),
    kept("leading-CRLF", b"\r\n" + get()),
    # One empty line is to be ignored (RFC 9112, 2.2); a strict library accepts no more.
    unless_strict(kept("leading-CRLFs", b"\r\n\r\n" + get())),
]

# The library has 32 KiB for a request's line and fields.
FLOODS = [
    kept("100-arguments", arguments(100)),
    *(refused(f"{count}-arguments", arguments(count), 414) for count in (101, 500, 5_000, 16_000)),
    # For these two the library does not report the end of the request.
    cut("NUL-before-700-arguments", target(b"/" + b"a" * 6_000 + b"\0?" + b"a&" * 700), 400, 414, 431),
    refused("length-junk-and-long-cookie", fields(b"Content-Length: x", b"Cookie: a=" + b"b" * 17_000), 400, 431),
    refused("5000-empty-arguments", target(b"/healthz?" + b"&" * 5_000), 414),
    kept("100-fields", many_fields(100)),
    *(refused(f"{count}-fields", many_fields(count), 431) for count in (101, 256, 1_000)),
    refused("10000-fields", many_fields(10_000), 431),
    judged("2000-cookies", fields(b"Cookie: " + b"a=b; " * 2_000), 431),
    refused("2000-cookie-fields", fields(*[b"Cookie: a=b; "] * 2_000), 431),
    refused("field-40-KB", fields(b"X-A: " + b"b" * 40_000), 431),
    refused("field-name-40-KB", fields(b"X" * 40_000 + b": b"), 431),
    refused("field-1-MB", fields(b"X-A: " + b"b" * 1_000_000), 431),
    refused("URL-33-KB", target(b"/" + b"a" * 33_000), 414),
    refused("query-33-KB", target(b"/healthz?a=" + b"b" * 33_000), 414),
    refused("URL-1-MB", target(b"/" + b"a" * 1_000_000), 414),
    cut("line-without-end", b"a" * 33_000, 400, 414),
]

ABOUT_LINES = [*METHODS, *TARGETS, *VERSIONS, *FLOODS]
