# SPDX-License-Identifier: Apache-2.0
"""Free ports of 127.0.0.1 for programs that cannot choose one themselves and report it."""

import contextlib
import random
import socket
from pathlib import Path

_FIRST = 10_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_reservations: list[socket.socket] = []


def reserved_port() -> int:
    """A free port that neither another test nor the kernel assigns while this process lives.

    The kernel assigns ports, for port 0 and outgoing connections, from one range only; this port
    lies outside that range. A socket in the abstract namespace reserves it among all test processes
    of this machine.
    """
    low, high = map(int, _EPHEMERAL.read_text().split())
    candidates = [port for port in range(_FIRST, 65_536) if not low <= port <= high]
    random.shuffle(candidates)
    for port in candidates:
        reservation = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.ExitStack() as giving_up:
            giving_up.callback(reservation.close)
            try:
                reservation.bind(f"\0outrider-test-port-{port}")
                with socket.socket() as probe:
                    # As servers set it: a port with recently closed connections is free.
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            giving_up.pop_all()
        _reservations.append(reservation)
        return port
    raise AssertionError("no free port outside the kernel's range")
