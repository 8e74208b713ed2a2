# SPDX-License-Identifier: Apache-2.0
"""A client that sends bytes as they are and counts the answers that really are on the wire.

A usual HTTP client repairs what it sends and stops reading once it has its answer. This one does
neither, so that a second answer, or half of one, cannot hide. Every wait has a deadline.
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
"""How long a peer may take for anything: a busy machine never takes this long, only a broken peer does."""

STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) [ -~]*\r\n")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*\r\n")


class Malformed(AssertionError):
    """Bytes that are no sequence of answers."""


@dataclass(frozen=True)
class Answer:
    """One answer, whole."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Every value of a header field, whose name is given in lower case."""
        return [value for key, value in self.fields if key == name]

    def value(self, name: str) -> str:
        """The value of a header field that is there once."""
        (value,) = self.values(name)
        return value


def read_answer(wire: bytes, is_head: bool = False) -> tuple[Answer, bytes] | None:
    """The first answer and what follows it; None if it is not whole yet."""
    head, end, rest = wire.partition(b"\r\n\r\n")
    if not end:
        return None
    head += b"\r\n"
    line = STATUS_LINE.match(head)
    if line is None:
        raise Malformed(f"no status line: {head[:200]!r}")
    fields: list[tuple[str, str]] = []
    position = line.end()
    while position < len(head):
        field = FIELD.match(head, position)
        if field is None:
            raise Malformed(f"no header field: {head[position : position + 200]!r}")
        fields.append((field[1].decode("ascii").lower(), field[2].decode("latin-1")))
        position = field.end()
    lengths = [value for name, value in fields if name == "content-length"]
    if len(lengths) != 1 or not lengths[0].isdigit():
        raise Malformed(f"not one Content-Length: {head!r}")
    size = 0 if is_head else int(lengths[0])
    if len(rest) < size:
        return None
    return Answer(int(line[1]), fields, rest[:size]), rest[size:]


def read_answers(wire: bytes, heads: Iterable[bool] = ()) -> list[Answer]:
    """All answers on a wire that has ended; `heads` tells which of the first ones are to a HEAD."""
    answers: list[Answer] = []
    kinds = iter(heads)
    rest = wire
    # A head that was sent twice could pass for the body of the first.
    lines = len(STATUS_LINE.findall(wire))
    while rest:
        found = read_answer(rest, next(kinds, False))
        if found is None:
            raise Malformed(f"{lines} status lines, and no whole answers: {wire[:700]!r}")
        answer, rest = found
        answers.append(answer)
    if lines != len(answers):
        raise Malformed(f"{lines} status lines in {len(answers)} answers: {wire[:700]!r}")
    return answers


def get(path: str = "/healthz", *fields: str, method: str = "GET") -> bytes:
    """A clean request of HTTP/1.1."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


class Client:
    """One connection to an address as the probe prints it: `http://…:port` or `unix:/path`.

    `window` bounds what the kernel takes for a client that does not read, which on loopback is
    megabytes otherwise. `source` is the address it comes from.
    """

    def __init__(self, address: str, window: int | None = None, source: str | None = None) -> None:
        self.received = b""
        self.is_closed = False
        """Whether the peer has ended the connection, one way or the other."""
        self.is_reset = False
        is_unix = address.startswith("unix:")
        family = socket.AF_UNIX if is_unix else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self.socket.settimeout(SECONDS)
            if window is not None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            if is_unix:
                # Blocking, since a full queue is an error at once otherwise (unix(7), EAGAIN).
                self.socket.settimeout(None)
                wait = struct.pack("ll", int(SECONDS), 0)
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, wait)
                self.socket.connect(address.removeprefix("unix:"))
                self.socket.settimeout(SECONDS)
                return
            if window is not None:
                # Small segments: the sender's buffer is sized by them.
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
        """Ends the connection properly."""
        self.socket.close()

    def reset(self) -> None:
        """Ends the connection with a reset, as a client does that crashes."""
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()

    def finish_sending(self) -> None:
        """Tells the peer that nothing more comes."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The peer has left already; reading will tell.

    def send(self, data: bytes) -> bool:
        """Sends everything, and tells whether the peer was there to take it."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            # It may have answered before it left: reading will tell.
            return False
        return True

    def trickle(self, data: bytes, pieces: int = 400) -> None:
        """Sends in pieces, each once the peer has taken the one before; Unix sockets only."""
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
            # A peer that answers or leaves need not read the rest.
            ready, _, _ = select.select([self.socket], [], [], 0.000_1)
            if ready:
                return
            assert time.monotonic() < deadline, f"{left} bytes lie unread for {SECONDS:g} s"

    def read(self, seconds: float = SECONDS, size: int = 1 << 16) -> bool:
        """Takes what has come, or comes within some seconds; False if that is nothing."""
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

    def answer(self, is_head: bool = False, seconds: float = SECONDS) -> Answer:
        """The next answer, as soon as it is whole; what follows stays for the next call."""
        deadline = time.monotonic() + seconds
        while True:
            if found := read_answer(self.received, is_head):
                answer, self.received = found
                return answer
            left = deadline - time.monotonic()
            if not self.read(max(left, 0)):
                state = "closed" if self.is_closed else f"silent for {seconds:g} s"
                raise Malformed(f"the peer is {state} after {self.received[:200]!r}")

    def read_to_end(self, seconds: float = SECONDS) -> bytes:
        """Everything up to the end of the connection, which has to come in time."""
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

    def ask(self, request: bytes, is_head: bool = False, seconds: float = SECONDS) -> Answer:
        """Sends a request and returns its answer."""
        self.send(request)
        return self.answer(is_head, seconds)


def ask(address: str, request: bytes, seconds: float = SECONDS) -> Answer:
    """The answer to one request, on a connection of its own."""
    is_head = request.startswith(b"HEAD ")
    with Client(address) as client:
        return client.ask(request, is_head, seconds)


def is_refused(address: str) -> bool:
    """Whether nobody listens there."""
    try:
        Client(address).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


def await_refusal(address: str, seconds: float = SECONDS) -> None:
    """Waits until nobody listens there any more."""
    poll(f"{address} refuses connections", lambda: is_refused(address) or None, seconds)
