# SPDX-License-Identifier: Apache-2.0
"""Stopping an agent: readiness turns to 503 first, then new clients are refused, then requests in
flight get a response, and then it is gone.

The agent promises to stop within a second, and responds within that time. A busy machine may need
longer for a response, so most tests extend the limit: they check which requests are waited for.
Tests in which the agent has to stop without a response keep the default.
"""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness import poll
from ports import reserved_port
from raw import Client, send_request, await_refusal, get, is_refused
from raw_table import fields
from serving import Serving, scrape

pytestmark = pytest.mark.wait

PAGE_SECONDS = "600"
"""The duration of the slow page and of the one that hangs."""
STOP_LIMIT = 60.0
"""Far less than PAGE_SECONDS, and far more than a stop takes that waits for no request."""
PATIENT = {"PROBE_PAGE_SECONDS": PAGE_SECONDS, "PROBE_PATIENCE": "100"}
"""Settings for a stop with time for every response."""
PROMPT = {"PROBE_PAGE_SECONDS": PAGE_SECONDS}
"""Settings for a stop with the default time."""
WINDOW = 4096


@pytest.fixture(params=["tcp", "unix"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The agent's address: a port that no other test takes once it is free, or a Unix socket."""
    is_tcp = request.param == "tcp"
    return f"127.0.0.1:{reserved_port()}" if is_tcp else f"unix:{tmp_path}/agent.sock"


@pytest.fixture
def server(address: str, tmp_path: Path) -> Iterator[Serving]:
    """An agent that waits for requests in flight when it stops."""
    with Serving(tmp_path / "log", address, **PATIENT) as server:
        yield server


@pytest.fixture
def prompt(address: str, tmp_path: Path) -> Iterator[Serving]:
    """An agent that stops within its default time, even if requests are still in flight."""
    with Serving(tmp_path / "log", address, **PROMPT) as server:
        yield server


@contextlib.contextmanager
def in_flight(server: Serving, path: str) -> Iterator[Client]:
    """A client with a request for a page that does not respond by itself."""
    with Client(server.url, window=WINDOW) as client:
        # Both requests arrive together, so the second is processed once the first has its response.
        client.send(get() + get(path))
        assert client.read_response().status == 200
        # The page is being processed, and waits or has filled the kernel's buffer.
        server.rest()
        client.read(seconds=0)
        assert not client.is_closed
        yield client


def test_draining_changes_readiness_only(server: Serving) -> None:
    assert send_request(server.url, get("/readyz")).status == 200
    with Client(server.url) as before:
        assert before.exchange(get()).status == 200
        assert server.command("drain") == "ok"
        for path in ("/readyz", "/-/ready"):
            response = send_request(server.url, get(path))
            assert response.status == 503
            assert b"drain" in response.body
        assert send_request(server.url, get("/healthz")).status == 200
        assert send_request(server.url, get("/debug/probe")).status == 200
        scrape(server.url)
        # Clients that connected earlier see the same.
        assert before.exchange(get("/readyz")).status == 503
    assert server.command("drain") == "ok"
    assert server.stop_agent() < STOP_LIMIT


def test_requests_in_flight_get_503_and_new_connections_are_refused(server: Serving) -> None:
    with in_flight(server, "/slow") as client, in_flight(server, "/slow") as other:
        server.order("stop")
        response = client.read_response()
        assert response.status == 503
        assert other.read_response().status == 503
        assert server.await_stopped() < STOP_LIMIT
        assert is_refused(server.url)
        assert client.read_to_end() == b""


def test_stopping_again_does_nothing(server: Serving) -> None:
    server.stop_agent()
    assert server.stop_agent() < STOP_LIMIT
    assert server.command("drain") == "ok"
    assert server.stop_agent() < STOP_LIMIT


def test_a_stopped_agent_leaves_no_sockets_behind(server: Serving) -> None:
    with in_flight(server, "/slow"):
        server.stop_agent()
    await_refusal(server.url)
    poll("its sockets are closed", lambda: server.sockets() == 0 or None)
    if server.url.startswith("unix:"):
        assert not Path(server.url.removeprefix("unix:")).exists()


def test_no_client_delays_a_stop(prompt: Serving) -> None:
    with ExitStack() as stack:
        mute = stack.enter_context(Client(prompt.url))
        half = stack.enter_context(Client(prompt.url))
        half.send(get()[:-2])
        idle = stack.enter_context(Client(prompt.url))
        assert idle.exchange(get()).status == 200
        stalled = [stack.enter_context(in_flight(prompt, "/large")) for _ in range(3)]
        assert all(client.received.startswith(b"HTTP/1.1 200 ") for client in stalled)
        assert prompt.stop_agent() < STOP_LIMIT
        for client in (mute, half, idle):
            assert client.read_to_end() == b""
        await_refusal(prompt.url)


def test_a_stop_does_not_wait_for_clients_without_a_request(server: Serving) -> None:
    with ExitStack() as stack:
        mute = stack.enter_context(Client(server.url))
        half = stack.enter_context(Client(server.url))
        half.send(get()[:-2])
        idle = stack.enter_context(Client(server.url))
        assert idle.exchange(get()).status == 200
        assert server.stop_agent() < STOP_LIMIT
        for client in (mute, half, idle):
            assert client.read_to_end() == b""


def test_a_hung_page_does_not_delay_a_stop(prompt: Serving) -> None:
    with in_flight(prompt, "/stuck"):
        assert prompt.stop_agent() < STOP_LIMIT
        await_refusal(prompt.url)
    assert prompt.stop_agent() < STOP_LIMIT


def test_a_hung_page_does_not_keep_another_request_from_its_response(address: str, tmp_path: Path) -> None:
    # The full time is waited for: some seconds rather than one, so that a busy machine has time to
    # respond.
    with (
        Serving(tmp_path / "log", address, **PROMPT, PROBE_PATIENCE="4") as server,
        in_flight(server, "/stuck"),
        in_flight(server, "/slow") as slow,
    ):
        server.order("stop")
        assert slow.read_response().status == 503
        assert server.await_stopped() < STOP_LIMIT


def test_clients_that_reset_during_a_stop_do_no_harm(server: Serving) -> None:
    with ExitStack() as stack:
        paths = ["/slow", "/large"] * 6
        crowd = [stack.enter_context(in_flight(server, path)) for path in paths]
        for client in crowd[:4]:
            client.reset()
        server.order("stop")
        for client in crowd[4:]:
            client.reset()
        assert server.await_stopped() < STOP_LIMIT
    await_refusal(server.url)


def test_two_agents_in_one_process_are_independent(tmp_path: Path) -> None:
    with Serving(tmp_path / "log", **PATIENT) as server:
        second = server.command("second")
        assert second != server.url
        text = scrape(second)
        assert 'outrider_http_requests_total{page="/metrics"' not in text
        with in_flight(server, "/slow") as client:
            assert server.command("stop-second").startswith("stopped")
            await_refusal(second)
            # The other agent continues, and so does its request in flight.
            scrape(server.url)
            second = server.command("second")
            server.order("stop")
            assert client.read_response().status == 503
            assert server.await_stopped() < STOP_LIMIT
        scrape(second)
        assert server.command("stop-second").startswith("stopped")


def test_a_forked_child_does_not_keep_the_listener_open(tmp_path: Path) -> None:
    address = f"127.0.0.1:{reserved_port()}"
    with (
        Serving(tmp_path / "log", address, **PATIENT) as server,
        in_flight(server, "/slow") as client,
    ):
        child = int(server.command("fork"))
        try:
            scrape(server.url)
            server.order("stop")
            assert client.read_response().status == 503
            assert server.await_stopped() < STOP_LIMIT
            # The child is alive and has a copy of every descriptor.
            os.kill(child, 0)
            await_refusal(server.url)
            with socket.socket() as next_one:
                next_one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                next_one.bind(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
                next_one.listen()
        finally:
            # It holds the pipes too, and their reader waits for it.
            os.kill(child, signal.SIGKILL)


def test_a_stop_while_requests_are_refused_leaves_the_process_alive(tmp_path: Path) -> None:
    # While libmicrohttpd 0.9.75 stops, it reads a response that it has not queued. Only some stops
    # hit that moment.
    too_large = fields(b"X-A: " + b"a" * 40_000)[:-1000]
    for number in range(12):
        with ExitStack() as clients, Serving(tmp_path / f"{number}.log") as server:
            for _ in range(30):
                clients.enter_context(Client(server.url)).send(too_large)
            server.stop_agent()
            assert server.popen.poll() is None
