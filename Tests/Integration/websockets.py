# SPDX-License-Identifier: Apache-2.0
"""A minimal WebSocket client (RFC 6455), enough for a thousand clients in one thread."""

import base64
import os
import selectors
import socket
import struct
import time
import urllib.parse

LIMIT = 120
"""Timeout for a response in seconds, on any machine."""


class WebSocket:
    """A client whose socket does not block after the handshake."""

    def __init__(self, url: str, receive_buffer: int | None = None) -> None:
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(LIMIT)
        self.socket.connect((parts.hostname, parts.port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += (more := self.socket.recv(4_096))
            assert more, head
        head, _, self._bytes = head.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        self.socket.setblocking(False)
        self.messages = 0
        """The number of messages received."""
        self.closing: tuple[int, str] | None = None
        """The status code and reason of the server's close frame."""
        self.is_open = True

    def send(self, opcode: int, data: bytes) -> None:
        """Sends a frame, masked as clients must."""
        mask = os.urandom(4)
        length = struct.pack("!B", 0x80 | len(data)) if len(data) < 126 else struct.pack("!BH", 0xFE, len(data))
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
        self.socket.setblocking(True)
        self.socket.sendall(bytes([0x80 | opcode]) + length + mask + masked)
        self.socket.setblocking(False)

    def send_text(self, text: str) -> None:
        """Sends a text message."""
        self.send(0x1, text.encode())

    def receive(self) -> None:
        """Reads the frames that have arrived."""
        try:
            more = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionResetError:
            more = b""
        if not more:
            self.is_open = False
            return
        self._bytes += more
        while (frame := self._frame()) is not None:
            opcode, data = frame
            if opcode in (0x1, 0x2):
                self.messages += 1
            if opcode == 0x8:
                self.closing = (struct.unpack("!H", data[:2])[0], data[2:].decode())

    def _frame(self) -> tuple[int, bytes] | None:
        if len(self._bytes) < 2:
            return None
        length, start = self._bytes[1] & 0x7F, 2
        if length >= 126:
            start = 4 if length == 126 else 10
            if len(self._bytes) < start:
                return None
            length = int.from_bytes(self._bytes[2:start], "big")
        if len(self._bytes) < start + length:
            return None
        opcode, data = self._bytes[0] & 0xF, self._bytes[start : start + length]
        self._bytes = self._bytes[start + length :]
        return opcode, data

    def close(self) -> None:
        """Closes the socket."""
        self.socket.close()


def read_until(readers: list[WebSocket], condition: "object", seconds: float = LIMIT) -> None:
    """Reads from all clients until a condition holds."""
    assert callable(condition)
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            if reader.is_open:
                selector.register(reader.socket, selectors.EVENT_READ, reader)
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds:g} s"
            for key, _ in selector.select(0.1):
                key.data.receive()
                if not key.data.is_open:
                    selector.unregister(key.data.socket)
