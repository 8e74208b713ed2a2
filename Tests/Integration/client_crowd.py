# SPDX-License-Identifier: Apache-2.0
"""A crowd of misbehaving clients of one address, as a program: client_crowd.py PORT KIND.

It connects from its own address, prints `ready` once all clients have connected, and runs until its
standard input closes.
"""

import contextlib
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from harness import Lines
from raw import SECONDS, get

KINDS = ("in use", "newcomers", "resets", "junk", "differing scrapes")
PERIOD = 0.04
"""Seconds between two requests on a connection in use."""
HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(190)
"""The first bytes of a TLS client (RFC 8446, 4.1.2)."""


class Crowd:
    """Clients of one kind, which reconnect at once when they are cut."""

    def __init__(self, port: int, kind: str) -> None:
        self.port = port
        self.kind = kind
        self.poller = select.poll()
        self.clients: dict[int, socket.socket] = {}
        self.opened = 0

    def connect(self) -> socket.socket:
        """Opens another connection without waiting for it to be accepted."""
        client = socket.socket()
        client.setblocking(False)
        client.bind(("127.0.7.1", 0))
        client.connect_ex(("127.0.0.1", self.port))
        self.opened += 1
        self.clients[client.fileno()] = client
        self.poller.register(client, select.POLLIN | select.POLLHUP | select.POLLERR)
        return client

    def leave(self, descriptor: int, *, by_reset: bool = False) -> None:
        """Closes one connection."""
        client = self.clients.pop(descriptor)
        self.poller.unregister(descriptor)
        if by_reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    def request(self) -> bytes:
        """The bytes that a client of this kind sends."""
        if self.kind == "junk":
            return HELLO
        if self.kind == "differing scrapes":
            return get(f"/metrics?name[]=probe_filler&name[]=n{time.monotonic_ns()}")
        return get()

    def poll_clients(self, seconds: float) -> None:
        """Reads what has arrived, and replaces connections that were cut."""
        for descriptor, _ in self.poller.poll(seconds * 1000):
            data = b""
            with contextlib.suppress(OSError):
                data = self.clients[descriptor].recv(1 << 16)
            if not data:
                self.leave(descriptor)
                self.connect()
            elif self.kind == "differing scrapes":
                self.send_request(self.clients[descriptor])

    def send_request(self, client: socket.socket) -> None:
        """Sends a request, as far as it fits into the socket buffer."""
        with contextlib.suppress(OSError):
            client.send(self.request())

    def run(self) -> None:
        """Runs all clients until standard input closes."""
        count = {"in use": 64, "newcomers": 200, "resets": 64, "junk": 64, "differing scrapes": 16}[self.kind]
        for _ in range(count):
            self.connect()
        if self.kind == "in use":
            # In addition to the clients in use, further ones try to connect.
            connecting = {self.connect().fileno() for _ in range(30)}
        else:
            connecting = set(self.clients) if self.kind == "newcomers" else set()
        self.poll_clients(0.5)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while not select.select([sys.stdin], [], [], 0)[0]:
            if self.kind == "resets":
                for descriptor in list(self.clients):
                    self.leave(descriptor, by_reset=True)
                    self.connect()
            else:
                for descriptor, client in list(self.clients.items()):
                    if descriptor not in connecting:
                        self.send_request(client)
            self.poll_clients(PERIOD)


@contextlib.contextmanager
def crowd(url: str, kind: str) -> Iterator[None]:
    """Runs a crowd against an address, with all of its clients connected."""
    port = url.rpartition(":")[2]
    command = [sys.executable, str(Path(__file__)), port, kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ)) as process:
        try:
            assert Lines(process.stdout).read(SECONDS) == b"ready\n"
            yield
            assert process.poll() is None, "the crowd has ended early"
        finally:
            process.kill()


if __name__ == "__main__":
    Crowd(int(sys.argv[1]), sys.argv[2]).run()
