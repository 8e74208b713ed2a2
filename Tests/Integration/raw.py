# SPDX-License-Identifier: Apache-2.0
"""A client that sends raw bytes and counts every response on the wire.

An ordinary HTTP client repairs its requests and stops reading after the response. This one does
neither, so that a second response, or part of one, cannot go unnoticed. Every wait has a deadline.
"""

import fcntl
import re
import select
import socket
import struct
import termios
import time
from collections.abc import Iterable
from dataclasses import dataclass

from harness import poll

SECONDS = 60.0
"""Timeout of every operation of a peer: only a broken peer reaches it, however busy the machine
is."""

STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) [ -~]*\r\n")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*\r\n")


class Malformed(AssertionError):
    """Raised for bytes that are not a sequence of responses."""


@dataclass(frozen=True)
class Response:
    """A complete response."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Every value of a header field; the name is in lower case."""
        return [value for key, value in self.fields if key == name]

    def value(self, name: str) -> str:
        """The value of a header field that occurs once."""
        (value,) = self.values(name)
        return value


def parse_response(wire: bytes, is_head: bool = False) -> tuple[Response, bytes] | None:
    """The first response and the bytes after it; None if it is incomplete."""
    head, end, rest = wire.partition(b"\r\n\r\n")
    if not end:
        return None
    head += b"\r\n"
    line = STATUS_LINE.match(head)
    if line is None:
        raise Malformed(f"not a status line: {head[:200]!r}")
    fields: list[tuple[str, str]] = []
    position = line.end()
    while position < len(head):
        field = FIELD.match(head, position)
        if field is None:
            raise Malformed(f"not a header field: {head[position : position + 200]!r}")
        fields.append((field[1].decode("ascii").lower(), field[2].decode("latin-1")))
        position = field.end()
    lengths = [value for name, value in fields if name == "content-length"]
    if len(lengths) != 1 or not lengths[0].isdigit():
        raise Malformed(f"not one Content-Length: {head!r}")
    size = 0 if is_head else int(lengths[0])
    if len(rest) < size:
        return None
    return Response(int(line[1]), fields, rest[:size]), rest[size:]


def parse_responses(wire: bytes, heads: Iterable[bool] = ()) -> list[Response]:
    """All responses received on a closed connection; `heads` says which of the first ones respond
    to HEAD."""
    responses: list[Response] = []
    kinds = iter(heads)
    rest = wire
    # A response head that was sent twice could be mistaken for the body of the first.
    lines = len(STATUS_LINE.findall(wire))
    while rest:
        found = parse_response(rest, next(kinds, False))
        if found is None:
            raise Malformed(f"{lines} status lines, and incomplete responses: {wire[:700]!r}")
        response, rest = found
        responses.append(response)
    if lines != len(responses):
        raise Malformed(f"{lines} status lines in {len(responses)} responses: {wire[:700]!r}")
    return responses


def get(path: str = "/healthz", *fields: str, method: str = "GET") -> bytes:
    """A valid HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


class Client:
    """A connection to an address in the form that the probe prints: `http://…:port` or
    `unix:/path`.

    `window` limits how much the kernel buffers for a client that does not read, which is megabytes
    on loopback otherwise. `source` is the client's own address.
    """

    def __init__(self, address: str, window: int | None = None, source: str | None = None) -> None:
        self.received = b""
        self.is_closed = False
        """Whether the peer has closed or reset the connection."""
        self.is_reset = False
        is_unix = address.startswith("unix:")
        family = socket.AF_UNIX if is_unix else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self.socket.settimeout(SECONDS)
            if window is not None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            if is_unix:
                # Blocking, since connect(2) fails at once on a full queue otherwise (unix(7),
                # EAGAIN).
                self.socket.settimeout(None)
                wait = struct.pack("ll", int(SECONDS), 0)
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, wait)
                self.socket.connect(address.removeprefix("unix:"))
                self.socket.settimeout(SECONDS)
                return
            if window is not None:
                # Small segments, since they determine the size of the sender's buffer.
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            if source is not None:
                self.socket.bind((source, 0))
            host, _, port = address.removeprefix("http://").rpartition(":")
            self.socket.connect((host, int(port)))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self.socket.close()

    def reset(self) -> None:
        """Resets the connection, as when a client crashes."""
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()

    def finish_sending(self) -> None:
        """Shuts down the sending side."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The peer has closed already; reading will show it.

    def send(self, data: bytes) -> bool:
        """Sends everything; returns False if the peer has closed the connection."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            # It may have responded before it closed: reading will show it.
            return False
        return True

    def trickle(self, data: bytes, pieces: int = 400) -> None:
        """Sends in pieces, each after the peer has read the one before; Unix sockets only."""
        size = max(1, len(data) // pieces)
        for start in range(0, len(data), size):
            if not self.send(data[start : start + size]):
                return
            self._wait_until_taken()

    def _wait_until_taken(self) -> None:
        deadline = time.monotonic() + SECONDS
        while True:
            queued = struct.pack("i", 0)
            (left,) = struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, queued))
            if left == 0:
                return
            # A peer that responds or closes need not read the rest.
            ready, _, _ = select.select([self.socket], [], [], 0.000_1)
            if ready:
                return
            assert time.monotonic() < deadline, f"{left} bytes are still unread after {SECONDS:g} s"

    def read(self, seconds: float = SECONDS, size: int = 1 << 16) -> bool:
        """Reads what has arrived, or arrives within the timeout; returns False if there is
        nothing."""
        if self.is_closed:
            return False
        self.socket.settimeout(max(seconds, 0.000_1))
        try:
            data = self.socket.recv(size)
        except TimeoutError:
            return False
        except (ConnectionResetError, BrokenPipeError):
            self.is_reset = self.is_closed = True
            return False
        finally:
            self.socket.settimeout(SECONDS)
        self.received += data
        self.is_closed = not data
        return bool(data)

    def read_response(self, is_head: bool = False, seconds: float = SECONDS) -> Response:
        """Waits for the next complete response; further bytes remain for the next call."""
        deadline = time.monotonic() + seconds
        while True:
            if found := parse_response(self.received, is_head):
                response, self.received = found
                return response
            left = deadline - time.monotonic()
            if not self.read(max(left, 0)):
                state = "closed" if self.is_closed else f"silent for {seconds:g} s"
                raise Malformed(f"the peer is {state} after {self.received[:200]!r}")

    def read_to_end(self, seconds: float = SECONDS) -> bytes:
        """Everything up to the end of the connection, which must come before the deadline."""
        deadline = time.monotonic() + seconds
        parts = [self.received]
        self.received = b""
        while not self.is_closed:
            left = deadline - time.monotonic()
            self.read(max(left, 0))
            parts.append(self.received)
            self.received = b""
            if not self.is_closed and time.monotonic() > deadline:
                wire = b"".join(parts)
                raise AssertionError(f"still open after {seconds:g} s and {wire[:500]!r}")
        return b"".join(parts)

    def exchange(self, request: bytes, is_head: bool = False, seconds: float = SECONDS) -> Response:
        """Sends a request and returns its response."""
        self.send(request)
        return self.read_response(is_head, seconds)


def send_request(address: str, request: bytes, seconds: float = SECONDS) -> Response:
    """The response to one request, on its own connection."""
    is_head = request.startswith(b"HEAD ")
    with Client(address) as client:
        return client.exchange(request, is_head, seconds)


def is_refused(address: str) -> bool:
    """Whether the address refuses connections."""
    try:
        Client(address).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


def await_refusal(address: str, seconds: float = SECONDS) -> None:
    """Waits until the address refuses connections."""
    poll(f"{address} refuses connections", lambda: is_refused(address) or None, seconds)
