# SPDX-License-Identifier: Apache-2.0
"""Raw requests, first part: the request, the expected status, and the fate of the connection.

Each row is one request to a conforming reader. A row that two readers could interpret differently,
which request smuggling exploits, or that would end a C string early, is refused with one response,
and the connection ends before the bytes behind it are read as a request.
"""

from dataclasses import dataclass, replace

from raw import Client, parse_responses

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""Follows each refused row, and must never get a response."""


@dataclass(frozen=True)
class Row:
    """A request and the expected response."""

    name: str
    request: bytes
    statuses: tuple[int, ...]
    """The accepted statuses: several where the library may decide before the agent, and none where
    it closes the connection without a response."""
    is_kept: bool | None
    """Whether the connection stays open; None if that depends on the status: it does with 200."""
    is_silent_if_strict: bool = False
    """Whether a strict library closes the connection without a response instead: see
    `is_strict`."""

    @property
    def is_head(self) -> bool:
        """Whether the response has no body."""
        return self.request.startswith(b"HEAD ")

    def by(self, strict: bool) -> "Row":
        """The expectation for a strict library, or for another."""
        return replace(self, statuses=(), is_kept=False) if strict and self.is_silent_if_strict else self


def refused(name: str, request: bytes, *statuses: int) -> Row:
    """One response, then the end of the connection."""
    return Row(name, request, statuses or (400,), is_kept=False)


def cut(name: str, request: bytes, *statuses: int) -> Row:
    """As `refused`, but a strict library closes the connection without a response."""
    return unless_strict(refused(name, request, *statuses))


def unless_strict(row: Row) -> Row:
    """A row to which a strict library does not respond."""
    return replace(row, is_silent_if_strict=True)


def silent(name: str, request: bytes) -> Row:
    """The connection ends without a response, since this is not HTTP at all."""
    return Row(name, request, (), is_kept=False)


def judged(name: str, request: bytes, *statuses: int) -> Row:
    """Either served as a valid request or refused."""
    return Row(name, request, (200, *statuses), is_kept=None)


def ended(name: str, request: bytes) -> Row:
    """Served, then closed, as the client requested."""
    return Row(name, request, (200,), is_kept=False)


def kept(name: str, request: bytes, status: int = 200) -> Row:
    """One response, and the connection stays open."""
    return Row(name, request, (status,), is_kept=True)


def line(first: bytes) -> bytes:
    """A request with this request line."""
    return first + b"\r\nHost: localhost\r\n\r\n"


def target(path: bytes) -> bytes:
    """A request for this target."""
    return line(b"GET " + path + b" HTTP/1.1")


def fields(*lines: bytes, method: bytes = b"GET") -> bytes:
    """A request with these lines after Host."""
    head = [method + b" /healthz HTTP/1.1", b"Host: localhost", *lines, b"", b""]
    return b"\r\n".join(head)


def host(value: bytes) -> bytes:
    """A request with this Host."""
    return b"GET /healthz HTTP/1.1\r\nHost: " + value + b"\r\n\r\n"


INNER = b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n"
LENGTH = str(len(INNER)).encode("ascii")

# Requests that have, or may have, a body, which a proxy in front could take for another request.
BODIES = [
    refused("length-5", fields(b"Content-Length: 5") + b"hello"),
    refused("length-of-a-request", fields(b"Content-Length: " + LENGTH) + INNER),
    refused("length-0-then-more", fields(b"Content-Length: 0", b"Content-Length: " + LENGTH) + INNER),
    refused("length-more-then-0", fields(b"Content-Length: " + LENGTH, b"Content-Length: 0") + INNER),
    refused("length-0-twice", fields(b"Content-Length: 0", b"Content-Length: 0")),
    refused("length-list", fields(b"Content-Length: 0, 0")),
    refused("length-5-and-5", fields(b"Content-Length: 5, 5") + b"hello"),
    refused("length-5-space-5", fields(b"Content-Length: 5 5") + b"hello"),
    refused("length-plus", fields(b"Content-Length: +5") + b"hello"),
    refused("length-plus-0", fields(b"Content-Length: +0")),
    refused("length-minus", fields(b"Content-Length: -5") + b"hello"),
    refused("length-minus-0", fields(b"Content-Length: -0")),
    refused("length-hexadecimal", fields(b"Content-Length: 0x5") + b"hello"),
    refused("length-00", fields(b"Content-Length: 00")),
    refused("length-empty", fields(b"Content-Length:")),
    refused("length-huge", fields(b"Content-Length: 18446744073709551616"), 400, 413),
    refused("length-lower-case", fields(b"content-length: " + LENGTH) + INNER),
    refused("chunked", fields(b"Transfer-Encoding: chunked") + b"0\r\n\r\n"),
    refused("chunked-and-length", fields(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n"),
    refused("length-and-chunked", fields(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n"),
    refused("length-0-and-chunked", fields(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"0\r\n\r\n"),
    refused("chunked-with-inner", fields(b"Transfer-Encoding: chunked") + b"23\r\n" + INNER + b"\r\n0\r\n\r\n"),
    refused("chunked-tab", fields(b"Transfer-Encoding:\tchunked") + b"0\r\n\r\n"),
    refused("chunked-twice", fields(b"Transfer-Encoding: chunked", b"Transfer-Encoding: x") + b"0\r\n\r\n"),
    # libmicrohttpd 1.0.10 refuses these itself.
    refused("encoding-identity", fields(b"Transfer-Encoding: identity"), 400, 501),
    refused("encoding-junk", fields(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n", 400, 501),
    refused("encoding-empty", fields(b"Transfer-Encoding:"), 400, 501),
    refused("chunk-0x5", fields(b"Transfer-Encoding: chunked") + b"0x5\r\nhello\r\n0\r\n\r\n"),
    refused("chunk-overflow", fields(b"Transfer-Encoding: chunked") + b"f" * 20 + b"\r\n"),
    refused("expect-continue", fields(b"Content-Length: 5", b"Expect: 100-continue")),
    refused("head-with-length", fields(b"Content-Length: 5", method=b"HEAD")),
    kept("length-0", fields(b"Content-Length: 0")),
]  # fmt: skip

# Field names with their colon, and values with their line end.
FIELDS = [
    refused("space-before-colon", fields(b"X-A : b")),
    refused("length-space-before-colon", fields(b"Content-Length : " + LENGTH) + INNER),
    refused("chunked-space-before-colon", fields(b"Transfer-Encoding : chunked") + b"0\r\n\r\n"),
    refused("chunked-tab-before-colon", fields(b"Transfer-Encoding\t: chunked") + b"0\r\n\r\n"),
    refused("name-empty", fields(b": b")),
    refused("name-with-space", fields(b"X A: b")),
    refused("name-with-control", fields(b"X\x01A: b")),
    refused("name-with-NUL", fields(b"X\0A: b")),
    refused("length-NUL-after-name", fields(b"Content-Length\0: " + LENGTH) + INNER),
    refused("chunked-NUL-before-name", fields(b"\0Transfer-Encoding: chunked") + b"0\r\n\r\n"),
    refused("name-with-slash", fields(b"X/A: b")),
    refused("name-not-ASCII", fields(b"X-\xc3\xa9: b")),
    refused("no-colon", fields(b"X-A")),
    refused("chunked-without-colon", fields(b"Transfer-Encoding chunked") + b"0\r\n\r\n"),
    refused("value-with-NUL", fields(b"X-A: b\0c")),
    refused("value-ends-in-NUL", fields(b"X-A: b\0")),
    refused("length-0-NUL-5", fields(b"Content-Length: 0\0005") + b"hello"),
    refused("value-hides-a-field", fields(b"X-A: b\0\r\nTransfer-Encoding: chunked") + b"0\r\n\r\n"),
    refused("value-with-control", fields(b"X-A: b\x01c")),
    refused("value-with-DEL", fields(b"X-A: b\x7fc")),
    refused("value-with-escape", fields(b"X-A: \x1b[2J")),
    refused("value-with-bare-CR", fields(b"X-A: b\rTransfer-Encoding: chunked") + b"0\r\n\r\n"),
    refused("bare-LF-lines", b"GET /healthz HTTP/1.1\nHost: localhost\n\n"),
    refused("bare-LF-first-line", b"GET /healthz HTTP/1.1\nHost: localhost\r\n\r\n"),
    refused("bare-LF-last-field", b"GET /healthz HTTP/1.1\r\nHost: localhost\nX-A: b\r\n\r\n"),
    refused("bare-LF-empty-line", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\n"),
    refused("bare-LF-hides-chunked", fields(b"X-A: b\nTransfer-Encoding: chunked") + b"0\r\n\r\n"),
    refused("folded", fields(b"X-A: b", b" c")),
    refused("folded-by-tab", fields(b"X-A: b", b"\tc")),
    refused("folded-chunked", fields(b"Transfer-Encoding:", b" chunked") + b"0\r\n\r\n"),
    refused("folded-first", b"GET /healthz HTTP/1.1\r\n Host: localhost\r\nX-A: b\r\n\r\n"),
    kept("value-not-ASCII", fields(b"X-A: caf\xc3\xa9")),
    kept("value-with-tab", fields(b"X-A: b\tc")),
    kept("value-empty", fields(b"X-A:")),
    kept("name-odd-token", fields(b"!#$%&'*+-.^_`|~09aZ: b")),
]  # fmt: skip

HOSTS = [
    refused("host-missing", b"GET /healthz HTTP/1.1\r\nX-A: b\r\n\r\n"),
    refused("host-missing-no-fields", b"GET /healthz HTTP/1.1\r\n\r\n"),
    refused("host-twice", fields(b"Host: localhost")),
    refused("host-twice-other-case", fields(b"hOST: b.example")),
    refused("host-NUL", host(b"localhost\0.example")),
    refused("host-leading-NUL", host(b"\0localhost")),
    refused("host-two-words", host(b"a b")),
    refused("host-list", host(b"a.example, localhost")),
    refused("host-userinfo", host(b"user@localhost")),
    refused("host-slash", host(b"localhost/x")),
    refused("host-backslash", host(b"localhost\\x")),
    refused("host-port-junk", host(b"localhost:x")),
    refused("host-port-too-high", host(b"localhost:65536")),
    refused("host-bracket-open", host(b"[::1")),
    refused("host-bracket-junk", host(b"[x]")),
    refused("host-question-mark", host(b"localhost?x")),
    refused("host-percent", host(b"%zz")),
    kept("host-address-and-port", host(b"127.0.0.1:9464")),
    kept("host-IPv6", host(b"[::1]:9464")),
    kept("host-anything", host(b"node-1.svc_a.example:80")),
]

ABOUT_FIELDS = [*BODIES, *FIELDS, *HOSTS]


def is_strict(address: str) -> bool:
    """Whether the agent's libmicrohttpd is itself strict, as 1.0 can be: it does not respond to
    input that is not HTTP.

    Otherwise it passes on what it has read, and the agent refuses it. The version does not decide
    this.
    """
    with Client(address) as client:
        client.send(target(b"/healthz\0") + SMUGGLED)
        return not parse_responses(client.read_to_end())
