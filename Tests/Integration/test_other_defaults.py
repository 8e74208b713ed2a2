# SPDX-License-Identifier: Apache-2.0
"""What the documentation promises of sockets holds on a system whose defaults are the other ones."""

import socket
import stat
from pathlib import Path

import pytest

from harness import fetch
from preloading import compiled
from raw import ask, get
from serving import Serving

pytestmark = pytest.mark.compute


def other_defaults() -> str:
    """The object that gives a program the other defaults."""
    return compiled("other_defaults.c", "-shared", "-fPIC")


def has_ipv6() -> bool:
    """Whether this machine has the loopback address of IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 on this machine")
def test_every_interface_of_IPv6_is_every_interface_of_IPv4_too(tmp_path: Path) -> None:
    with Serving(tmp_path / "log", "[::]:0", LD_PRELOAD=other_defaults()) as server:
        assert fetch(f"{server.url}/healthz") == b"alive\n"
        port = server.url.rpartition(":")[2]
        assert ask(f"http://127.0.0.1:{port}", get()).body == b"alive\n"


def test_the_file_of_a_Unix_socket_has_mode_0600(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    with Serving(tmp_path / "log", f"unix:{path}", LD_PRELOAD=other_defaults()) as server:
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        assert ask(server.url, get()).body == b"alive\n"
