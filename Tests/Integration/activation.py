# SPDX-License-Identifier: Apache-2.0
"""A supervisor that opens sockets, passes them to a service, and keeps them open while the service
restarts."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness import Process, clean_environment

FIRST = 3
"""The first passed descriptor (SD_LISTEN_FDS_START)."""


def listening(address: str | tuple[str, int] = ("127.0.0.1", 0)) -> socket.socket:
    """A listening socket as a supervisor opens it: blocking, and inherited by child processes."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.bind(address)
    opened.listen(128)
    opened.set_inheritable(True)
    return opened


class Activated(Process):
    """A program that is started with sockets passed to it by name."""

    def __init__(
        self, command: Sequence[str], log: Path, sockets: dict[str, socket.socket], *, names: bool = True,
        pid: str = "$$", **environment: str,
    ) -> None:
        passed = list(sockets.values())

        def move_descriptors() -> None:
            # Move them out of the way first: a descriptor may already have the number that another
            # one needs.
            copies = [os.dup2(one.fileno(), 100 + at) for at, one in enumerate(passed)]
            for at, copy in enumerate(copies):
                os.dup2(copy, FIRST + at)

        variables = {"LISTEN_FDS": str(len(passed))} | ({"LISTEN_FDNAMES": ":".join(sockets)} if names else {})
        self.log = log
        with log.open("wb") as sink:
            self.popen = subprocess.Popen(
                # LISTEN_PID is the process's own ID, known only after the fork.
                ["/bin/sh", "-c", f'LISTEN_PID={pid} exec "$@"', "sh", *command],
                stdin=subprocess.PIPE, stdout=sink, stderr=subprocess.STDOUT, preexec_fn=move_descriptors,
                pass_fds=range(FIRST, FIRST + len(passed)), env=clean_environment(**variables, **environment),
            )

    def send_line(self, line: str) -> None:
        """Writes a line to its standard input."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(line.encode("ascii") + b"\n")
        self.popen.stdin.flush()

    def stop(self) -> None:
        super().stop()
        with contextlib.suppress(BrokenPipeError):
            self.popen.communicate(timeout=60)
