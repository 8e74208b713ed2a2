# SPDX-License-Identifier: Apache-2.0
"""Deadlines in real time: nobody holds a connection for longer than it is good for.

One case for each deadline of the agent, and all of the idle timeout, which libmicrohttpd keeps. Every
other combination is in ConnectionDeadlineTests.swift, where a test moves the time.

A connection must not be cut before its deadline: the client measures from a moment before the
agent's time begins, so a slow machine only makes it longer. That it is cut at all is a fact, which
may take as long as a busy machine needs.
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
from raw import Client, get, read_answers
from serving import Serving, scrape

pytestmark = pytest.mark.wait

PATIENCE = 60.0
"""Seconds that a fact may take; only a broken agent takes them."""
WINDOW = 4096
"""What a client takes that does not read; the sender's side keeps some tens of kilobytes more."""
LARGE_BYTES = 20 << 20
CUT = re.compile(r'(?m)^outrider_connections_cut_total\{reason="(\w+)"\} (\d+)$')
LIBRARY_ROUNDING = 0.9
"""The library's clock is another one, and coarser."""


def seconds_until(fact: str, start: float, happens: Callable[[], bool]) -> float:
    """How long after a moment something happens, in seconds."""
    poll(fact, lambda: happens() or None, PATIENCE)
    return time.monotonic() - start


def cuts(server: Serving) -> dict[str, int]:
    """The connections that the agent has cut, by reason."""
    return {reason: int(count) for reason, count in CUT.findall(scrape(server.url, PATIENCE))}


def is_let_go(client: Client) -> bool:
    """Whether the server has closed its end of a connection that has much to read still.

    The client's end of a Unix socket shows that at once; that of TCP only when all is read, but the
    kernel lists the server's end, which waits in FIN-WAIT-1 (04, proc_net_tcp) then.
    """
    if client.socket.family == socket.AF_UNIX:
        poller = select.poll()
        poller.register(client.socket, 0)
        return bool(poller.poll(0))
    near, far = client.socket.getpeername()[1], client.socket.getsockname()[1]
    row = f": 0100007F:{near:04X} 0100007F:{far:04X} 04 "
    return row in Path("/proc/net/tcp").read_text(encoding="ascii")


def test_a_request_that_drips_is_cut_at_the_header_deadline(tmp_path: Path) -> None:
    deadline = 0.8
    with Serving(tmp_path / "log", PROBE_HEADER_SECONDS=str(deadline)) as server:
        start = time.monotonic()
        with Client(server.url) as client:

            def is_cut() -> bool:
                is_sent = client.send(b"a")
                client.read(seconds=0)
                return client.is_closed or not is_sent

            assert seconds_until("it is cut", start, is_cut) >= deadline
            # A client that was too slow may be told so.
            wire = client.read_to_end(PATIENCE)
            assert [answer.status for answer in read_answers(wire)] in ([], [408])
        assert cuts(server) == {"too_slow_to_ask": 1}


def test_a_request_in_pieces_within_the_deadline_is_answered(tmp_path: Path) -> None:
    with (
        Serving(tmp_path / "log", f"unix:{tmp_path}/s", PROBE_HEADER_SECONDS="600") as server,
        Client(server.url) as client,
    ):
        client.trickle(get())
        assert client.answer(seconds=PATIENCE).status == 200


def test_a_kept_connection_may_idle_up_to_the_idle_timeout(tmp_path: Path) -> None:
    idle = 1
    with contextlib.ExitStack() as stack:
        clients: dict[Client, float] = {}
        for address in ("127.0.0.1:0", f"unix:{tmp_path}/s"):
            # The header deadline is shorter, and does not count while no request begins.
            limits = {"PROBE_HEADER_SECONDS": "0.5", "PROBE_IDLE_SECONDS": str(idle)}
            log = tmp_path / f"log-{len(clients)}"
            server = stack.enter_context(Serving(log, address, **limits))
            client = stack.enter_context(Client(server.url))
            start = time.monotonic()
            assert client.ask(get(), seconds=PATIENCE).status == 200
            clients[client] = start
        for client, start in clients.items():
            assert client.read_to_end(PATIENCE) == b""
            assert time.monotonic() - start >= idle * LIBRARY_ROUNDING


def test_the_environment_sets_the_idle_timeout_where_code_does_not(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:

        def kept(name: str, **environment: str) -> Client:
            server = stack.enter_context(Serving(tmp_path / name, **environment))
            client = stack.enter_context(Client(server.url))
            assert client.ask(get(), seconds=PATIENCE).status == 200
            return client

        # Those that may idle for longer began earlier.
        others = [
            kept("default", PROBE_IDLE_SECONDS=""),
            kept("code", PROBE_IDLE_SECONDS="600", OUTRIDER_IDLE_TIMEOUT="1"),
        ]
        assert kept("environment", PROBE_IDLE_SECONDS="", OUTRIDER_IDLE_TIMEOUT="1").read_to_end(PATIENCE) == b""
        for client in others:
            client.read(0)
            assert not client.is_closed


def test_a_reader_that_stalls_is_cut_at_the_idle_timeout(tmp_path: Path) -> None:
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
            # Nobody waits for it, and it is not the agent who cuts it.
            assert cuts(server) == {}
        for client, start in clients.items():
            passed = seconds_until("it is let go", start, lambda: is_let_go(client))
            assert passed >= idle * LIBRARY_ROUNDING
            # What the kernel held for it still comes, and then the end.
            assert len(client.read_to_end(PATIENCE)) < LARGE_BYTES


def test_a_reader_that_drips_is_cut_at_the_limit_for_an_answer(tmp_path: Path) -> None:
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
            assert seconds_until("it is cut", start, is_cut) >= limit
            assert 0 < taken < LARGE_BYTES
        assert cuts(server) == {"too_slow_to_read": 1}


def test_a_reader_that_takes_its_time_within_the_limit_has_everything(tmp_path: Path) -> None:
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
            # It reads for longer than the idle timeout, but something moves all the time.
            if time.monotonic() - start < 4:
                time.sleep(0.02)
            client.read(PATIENCE, 1 << 12)
            wire += client.received
            client.received = b""
        (answer,) = read_answers(wire)
        assert len(answer.body) == size
