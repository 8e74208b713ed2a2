# SPDX-License-Identifier: Apache-2.0
"""A crowd that does its worst to one address, as a program: crowding.py PORT KIND.

It comes from an address of its own, says `ready` once all of it has come, and goes on until its input ends.
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
"""How a client begins that takes the port for one of TLS (RFC 8446, 4.1.2)."""


class Crowd:
    """Clients of one kind; those that are cut come again at once."""

    def __init__(self, port: int, kind: str) -> None:
        self.port = port
        self.kind = kind
        self.poller = select.poll()
        self.clients: dict[int, socket.socket] = {}
        self.came = 0

    def connect(self) -> socket.socket:
        """One more, which does not wait until it is accepted."""
        client = socket.socket()
        client.setblocking(False)
        client.bind(("127.0.7.1", 0))
        client.connect_ex(("127.0.0.1", self.port))
        self.came += 1
        self.clients[client.fileno()] = client
        self.poller.register(client, select.POLLIN | select.POLLHUP | select.POLLERR)
        return client

    def leave(self, descriptor: int, *, by_reset: bool = False) -> None:
        """One goes."""
        client = self.clients.pop(descriptor)
        self.poller.unregister(descriptor)
        if by_reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    def request(self) -> bytes:
        """What a client of this kind says."""
        if self.kind == "junk":
            return HELLO
        if self.kind == "differing scrapes":
            return get(f"/metrics?name[]=probe_filler&name[]=n{time.monotonic_ns()}")
        return get()

    def look(self, seconds: float) -> None:
        """Reads what has come, and replaces those that are cut."""
        for descriptor, _ in self.poller.poll(seconds * 1000):
            data = b""
            with contextlib.suppress(OSError):
                data = self.clients[descriptor].recv(1 << 16)
            if not data:
                self.leave(descriptor)
                self.connect()
            elif self.kind == "differing scrapes":
                self.ask(self.clients[descriptor])

    def ask(self, client: socket.socket) -> None:
        """Says something, as far as it fits."""
        with contextlib.suppress(OSError):
            client.send(self.request())

    def go_on(self) -> None:
        """What all of them do, until the input ends."""
        count = {"in use": 64, "newcomers": 200, "resets": 64, "junk": 64, "differing scrapes": 16}[self.kind]
        for _ in range(count):
            self.connect()
        if self.kind == "in use":
            # Beside those that have a connection, others want one.
            knocking = {self.connect().fileno() for _ in range(30)}
        else:
            knocking = set(self.clients) if self.kind == "newcomers" else set()
        self.look(0.5)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while not select.select([sys.stdin], [], [], 0)[0]:
            if self.kind == "resets":
                for descriptor in list(self.clients):
                    self.leave(descriptor, by_reset=True)
                    self.connect()
            else:
                for descriptor, client in list(self.clients.items()):
                    if descriptor not in knocking:
                        self.ask(client)
            self.look(PERIOD)


@contextlib.contextmanager
def crowd(url: str, kind: str) -> Iterator[None]:
    """A crowd at an address, all of which has come."""
    port = url.rpartition(":")[2]
    command = [sys.executable, str(Path(__file__)), port, kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ)) as process:
        try:
            assert Lines(process.stdout).read(SECONDS) == b"ready\n"
            yield
            assert process.poll() is None, "the crowd has gone"
        finally:
            process.kill()


if __name__ == "__main__":
    Crowd(int(sys.argv[1]), sys.argv[2]).go_on()
