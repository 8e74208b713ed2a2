# SPDX-License-Identifier: Apache-2.0
"""Client deadlines in real time: no client holds a connection for longer than allowed.

One case for each deadline of the agent, and all cases of the idle timeout, which libmicrohttpd
implements. All other combinations are in ConnectionDeadlineTests.swift, where the test controls the
clock.

A connection must not be cut before its deadline: the client's measurement starts before the
agent's, so a slow machine only lengthens it. The cut itself may take as long as a busy machine
needs.
"""

import contextlib
import re
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import poll
from raw import Client, get, parse_responses
from serving import Serving, scrape

pytestmark = pytest.mark.wait

PATIENCE = 60.0
"""Timeout in seconds, reached by a broken agent only."""
WINDOW = 4096
"""The receive window of a client that does not read; the sender buffers some tens of kilobytes
more."""
LARGE_BYTES = 20 << 20
CUT = re.compile(r'(?m)^outrider_connections_cut_total\{reason="(\w+)"\} (\d+)$')
LIBRARY_ROUNDING = 0.9
"""The library uses another, coarser clock."""


def seconds_until(fact: str, start: float, happens: Callable[[], bool]) -> float:
    """The seconds from a moment until something happens."""
    poll(fact, lambda: happens() or None, PATIENCE)
    return time.monotonic() - start


def cuts(server: Serving) -> dict[str, int]:
    """The connections that the agent has cut, by reason."""
    return {reason: int(count) for reason, count in CUT.findall(scrape(server.url, PATIENCE))}


def is_disconnected(client: Client) -> bool:
    """Whether the server has closed a connection on which much is still unread.

    The client's end of a Unix socket shows that at once. TCP shows it only when everything is read,
    but the kernel then lists the server's end in FIN-WAIT-1 (04, proc_net_tcp).
    """
    if client.socket.family == socket.AF_UNIX:
        poller = select.poll()
        poller.register(client.socket, 0)
        return bool(poller.poll(0))
    near, far = client.socket.getpeername()[1], client.socket.getsockname()[1]
    row = f": 0100007F:{near:04X} 0100007F:{far:04X} 04 "
    return row in Path("/proc/net/tcp").read_text(encoding="ascii")


def test_a_slowly_sent_request_is_cut_at_the_header_deadline(tmp_path: Path) -> None:
    deadline = 0.8
    with Serving(tmp_path / "log", PROBE_HEADER_SECONDS=str(deadline)) as server:
        start = time.monotonic()
        with Client(server.url) as client:

            def is_cut() -> bool:
                is_sent = client.send(b"a")
                client.read(seconds=0)
                return client.is_closed or not is_sent

            assert seconds_until("the connection is cut", start, is_cut) >= deadline
            # A slow client may get a 408 response.
            wire = client.read_to_end(PATIENCE)
            assert [response.status for response in parse_responses(wire)] in ([], [408])
        assert cuts(server) == {"too_slow_to_ask": 1}


def test_a_request_in_pieces_within_the_deadline_succeeds(tmp_path: Path) -> None:
    with (
        Serving(tmp_path / "log", f"unix:{tmp_path}/s", PROBE_HEADER_SECONDS="600") as server,
        Client(server.url) as client,
    ):
        client.trickle(get())
        assert client.read_response(seconds=PATIENCE).status == 200


def test_a_persistent_connection_may_idle_until_the_idle_timeout(tmp_path: Path) -> None:
    idle = 1
    with contextlib.ExitStack() as stack:
        clients: dict[Client, float] = {}
        for address in ("127.0.0.1:0", f"unix:{tmp_path}/s"):
            # The header deadline is shorter, but does not apply between requests.
            limits = {"PROBE_HEADER_SECONDS": "0.5", "PROBE_IDLE_SECONDS": str(idle)}
            log = tmp_path / f"log-{len(clients)}"
            server = stack.enter_context(Serving(log, address, **limits))
            client = stack.enter_context(Client(server.url))
            start = time.monotonic()
            assert client.exchange(get(), seconds=PATIENCE).status == 200
            clients[client] = start
        for client, start in clients.items():
            assert client.read_to_end(PATIENCE) == b""
            assert time.monotonic() - start >= idle * LIBRARY_ROUNDING


def test_the_environment_sets_the_idle_timeout_unless_code_does(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:

        def kept(name: str, **environment: str) -> Client:
            server = stack.enter_context(Serving(tmp_path / name, **environment))
            client = stack.enter_context(Client(server.url))
            assert client.exchange(get(), seconds=PATIENCE).status == 200
            return client

        # The connections with a longer timeout were opened earlier.
        others = [
            kept("default", PROBE_IDLE_SECONDS=""),
            kept("code", PROBE_IDLE_SECONDS="600", OUTRIDER_IDLE_TIMEOUT="1"),
        ]
        assert kept("environment", PROBE_IDLE_SECONDS="", OUTRIDER_IDLE_TIMEOUT="1").read_to_end(PATIENCE) == b""
        for client in others:
            client.read(0)
            assert not client.is_closed


def test_a_stalled_reader_is_cut_at_the_idle_timeout(tmp_path: Path) -> None:
    idle = 1
    with contextlib.ExitStack() as stack:
        clients: dict[Client, float] = {}
        for address in ("127.0.0.1:0", f"unix:{tmp_path}/s"):
            log = tmp_path / f"log-{len(clients)}"
            server = stack.enter_context(Serving(log, address, PROBE_IDLE_SECONDS=str(idle)))
            client = stack.enter_context(Client(server.url, window=WINDOW))
            start = time.monotonic()
            client.send(get("/large"))
            assert client.read(PATIENCE, WINDOW)
            assert client.received.startswith(b"HTTP/1.1 200 ")
            clients[client] = start
            # The library cuts it, not the agent, since no other client needs the connection.
            assert cuts(server) == {}
        for client, start in clients.items():
            passed = seconds_until("the connection is closed", start, lambda: is_disconnected(client))
            assert passed >= idle * LIBRARY_ROUNDING
            # The client still receives what the kernel has buffered, then the end.
            assert len(client.read_to_end(PATIENCE)) < LARGE_BYTES


def test_a_slow_reader_is_cut_at_the_response_deadline(tmp_path: Path) -> None:
    limit = 1
    with Serving(tmp_path / "log", PROBE_ANSWER_SECONDS=str(limit)) as server:
        start = time.monotonic()
        with Client(server.url, window=WINDOW) as client:
            taken = 0

            def is_cut() -> bool:
                nonlocal taken
                client.read(seconds=0.01, size=4 * WINDOW)
                taken += len(client.received)
                client.received = b""
                return client.is_closed

            client.send(get("/large"))
            assert seconds_until("the connection is cut", start, is_cut) >= limit
            assert 0 < taken < LARGE_BYTES
        assert cuts(server) == {"too_slow_to_read": 1}


def test_a_slow_reader_within_the_deadline_receives_the_whole_body(tmp_path: Path) -> None:
    size = 1 << 20
    limits = {"PROBE_IDLE_SECONDS": "3", "PROBE_LARGE_BYTES": str(size)}
    with (
        Serving(tmp_path / "log", **limits) as server,
        Client(server.url, window=WINDOW) as client,
    ):
        start = time.monotonic()
        client.send(get("/large", "Connection: close"))
        wire = b""
        while not client.is_closed:
            # It reads for longer than the idle timeout, but bytes keep moving.
            if time.monotonic() - start < 4:
                time.sleep(0.02)
            client.read(PATIENCE, 1 << 12)
            wire += client.received
            client.received = b""
        (response,) = parse_responses(wire)
        assert len(response.body) == size
