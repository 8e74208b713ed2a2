# SPDX-License-Identifier: Apache-2.0
"""The documented behaviour of sockets on a system with the opposite defaults."""

import socket
import stat
from pathlib import Path

import pytest

from harness import fetch
from preload_tools import compiled
from raw import send_request, get
from serving import Serving

pytestmark = pytest.mark.compute


def other_defaults() -> str:
    """The preloaded object that inverts the defaults."""
    return compiled("other_defaults.c", "-shared", "-fPIC")


def has_ipv6() -> bool:
    """Whether this machine has the IPv6 loopback address."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_every_interface_of_IPv6_is_every_interface_of_IPv4_too(tmp_path: Path) -> None:
    with Serving(tmp_path / "log", "[::]:0", LD_PRELOAD=other_defaults()) as server:
        assert fetch(f"{server.url}/healthz") == b"alive\n"
        port = server.url.rpartition(":")[2]
        assert send_request(f"http://127.0.0.1:{port}", get()).body == b"alive\n"


def test_the_file_of_a_Unix_socket_has_mode_0600(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    with Serving(tmp_path / "log", f"unix:{path}", LD_PRELOAD=other_defaults()) as server:
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        assert send_request(server.url, get()).body == b"alive\n"
