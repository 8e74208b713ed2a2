# SPDX-License-Identifier: Apache-2.0
"""An agent goes in order: told first, then refusing, then answering what it has taken, then gone.

It promises to be gone within a second, and has this time to answer in. On a busy machine an answer
may take longer, so most tests give it more: what they judge is whom it waits for. Those in which it
has to end without an answer leave the limit as it is.
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
from raw import Client, ask, await_refusal, get, is_refused
from raw_table import fields
from serving import Serving, scrape

pytestmark = pytest.mark.wait

PAGE_SECONDS = "600"
"""What the slow page and the one that hangs take by themselves."""
STOP_LIMIT = 60.0
"""Far less than that, and far more than a stop takes that waits for nobody."""
PATIENT = {"PROBE_PAGE_SECONDS": PAGE_SECONDS, "PROBE_PATIENCE": "100"}
"""A stop with time for every answer."""
PROMPT = {"PROBE_PAGE_SECONDS": PAGE_SECONDS}
"""A stop with the time that it has by default."""
WINDOW = 4096


@pytest.fixture(params=["tcp", "unix"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where to listen: a port that no other test takes once it is free, or a Unix socket."""
    is_tcp = request.param == "tcp"
    return f"127.0.0.1:{reserved_port()}" if is_tcp else f"unix:{tmp_path}/agent.sock"


@pytest.fixture
def server(address: str, tmp_path: Path) -> Iterator[Serving]:
    """An agent that is about to go, when it has answered."""
    with Serving(tmp_path / "log", address, **PATIENT) as server:
        yield server


@pytest.fixture
def prompt(address: str, tmp_path: Path) -> Iterator[Serving]:
    """An agent that is about to go, whoever is not answered by then."""
    with Serving(tmp_path / "log", address, **PROMPT) as server:
        yield server


@contextlib.contextmanager
def in_flight(server: Serving, path: str) -> Iterator[Client]:
    """A client that has asked for a page which does not answer by itself."""
    with Client(server.url, window=WINDOW) as client:
        # Both come in one piece, so the second is taken up once the first is answered.
        client.send(get() + get(path))
        assert client.answer().status == 200
        # Then the page has been entered, and waits or has filled what the kernel takes.
        server.rest()
        client.read(seconds=0)
        assert not client.is_closed
        yield client


def test_readiness_goes_first_and_alone(server: Serving) -> None:
    assert ask(server.url, get("/readyz")).status == 200
    with Client(server.url) as before:
        assert before.ask(get()).status == 200
        assert server.tell("drain") == "ok"
        for path in ("/readyz", "/-/ready"):
            answer = ask(server.url, get(path))
            assert answer.status == 503
            assert b"drain" in answer.body
        assert ask(server.url, get("/healthz")).status == 200
        assert ask(server.url, get("/debug/probe")).status == 200
        scrape(server.url)
        # Those who were here before are told the same.
        assert before.ask(get("/readyz")).status == 503
    assert server.tell("drain") == "ok"
    assert server.stop_agent() < STOP_LIMIT


def test_what_is_in_flight_is_told_and_who_comes_is_refused(server: Serving) -> None:
    with in_flight(server, "/slow") as client, in_flight(server, "/slow") as other:
        server.order("stop")
        answer = client.answer()
        assert answer.status == 503
        assert other.answer().status == 503
        assert server.await_stopped() < STOP_LIMIT
        assert is_refused(server.url)
        assert client.read_to_end() == b""


def test_stopping_again_does_nothing(server: Serving) -> None:
    server.stop_agent()
    assert server.stop_agent() < STOP_LIMIT
    assert server.tell("drain") == "ok"
    assert server.stop_agent() < STOP_LIMIT


def test_an_agent_that_has_stopped_has_left_nothing(server: Serving) -> None:
    with in_flight(server, "/slow"):
        server.stop_agent()
    await_refusal(server.url)
    poll("its sockets are closed", lambda: server.sockets() == 0 or None)
    if server.url.startswith("unix:"):
        assert not Path(server.url.removeprefix("unix:")).exists()


def test_nobody_holds_up_a_stop(prompt: Serving) -> None:
    with ExitStack() as stack:
        mute = stack.enter_context(Client(prompt.url))
        half = stack.enter_context(Client(prompt.url))
        half.send(get()[:-2])
        idle = stack.enter_context(Client(prompt.url))
        assert idle.ask(get()).status == 200
        stalled = [stack.enter_context(in_flight(prompt, "/large")) for _ in range(3)]
        assert all(client.received.startswith(b"HTTP/1.1 200 ") for client in stalled)
        assert prompt.stop_agent() < STOP_LIMIT
        for client in (mute, half, idle):
            assert client.read_to_end() == b""
        await_refusal(prompt.url)


def test_clients_that_wait_for_nothing_are_not_waited_for(server: Serving) -> None:
    with ExitStack() as stack:
        mute = stack.enter_context(Client(server.url))
        half = stack.enter_context(Client(server.url))
        half.send(get()[:-2])
        idle = stack.enter_context(Client(server.url))
        assert idle.ask(get()).status == 200
        assert server.stop_agent() < STOP_LIMIT
        for client in (mute, half, idle):
            assert client.read_to_end() == b""


def test_a_page_that_hangs_does_not_hold_up_a_stop(prompt: Serving) -> None:
    with in_flight(prompt, "/stuck"):
        assert prompt.stop_agent() < STOP_LIMIT
        await_refusal(prompt.url)
    assert prompt.stop_agent() < STOP_LIMIT


def test_a_page_that_hangs_keeps_no_answer_from_another(address: str, tmp_path: Path) -> None:
    # Some seconds rather than one, which are waited for: time to answer on a busy machine.
    with (
        Serving(tmp_path / "log", address, **PROMPT, PROBE_PATIENCE="4") as server,
        in_flight(server, "/stuck"),
        in_flight(server, "/slow") as slow,
    ):
        server.order("stop")
        assert slow.answer().status == 503
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


def test_two_agents_in_one_process_do_not_know_each_other(tmp_path: Path) -> None:
    with Serving(tmp_path / "log", **PATIENT) as server:
        second = server.tell("second")
        assert second != server.url
        text = scrape(second)
        assert 'outrider_http_requests_total{page="/metrics"' not in text
        with in_flight(server, "/slow") as client:
            assert server.tell("stop-second").startswith("stopped")
            await_refusal(second)
            # The other one goes on, and so does what it has in flight.
            scrape(server.url)
            second = server.tell("second")
            server.order("stop")
            assert client.answer().status == 503
            assert server.await_stopped() < STOP_LIMIT
        scrape(second)
        assert server.tell("stop-second").startswith("stopped")


def test_a_forked_child_keeps_nothing_of_its_parents(tmp_path: Path) -> None:
    address = f"127.0.0.1:{reserved_port()}"
    with (
        Serving(tmp_path / "log", address, **PATIENT) as server,
        in_flight(server, "/slow") as client,
    ):
        child = int(server.tell("fork"))
        try:
            scrape(server.url)
            server.order("stop")
            assert client.answer().status == 503
            assert server.await_stopped() < STOP_LIMIT
            # The child lives and has a copy of every descriptor.
            os.kill(child, 0)
            await_refusal(server.url)
            with socket.socket() as next_one:
                next_one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                next_one.bind(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
                next_one.listen()
        finally:
            # It holds the pipes too, and whoever reads them waits for it.
            os.kill(child, signal.SIGKILL)


def test_a_stop_while_requests_are_refused_leaves_the_process_alive(tmp_path: Path) -> None:
    # While libmicrohttpd 0.9.75 stops, it reads a response that it has not queued. Only some stops meet that moment.
    too_large = fields(b"X-A: " + b"a" * 40_000)[:-1000]
    for number in range(12):
        with ExitStack() as clients, Serving(tmp_path / f"{number}.log") as server:
            for _ in range(30):
                clients.enter_context(Client(server.url)).send(too_large)
            server.stop_agent()
            assert server.popen.poll() is None
