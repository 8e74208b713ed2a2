# SPDX-License-Identifier: Apache-2.0
"""Nobody holds a connection for longer than it is good for, and nobody else waits meanwhile.

The upper bounds are several times what is promised, for machines that are busy; the lower ones are
a half of it, since a client that is cut too early is cut wrongly.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import poll
from raw import Client, get, read_answers
from serving import Scraper, Serving, observed

HEADER_SECONDS = 0.8
SLACK = 5.0
WINDOW = 4096
"""What a client takes that does not read; the sender's side keeps some tens of kilobytes more."""
LARGE_BYTES = 20 << 20


def seconds_until(fact: str, happens: Callable[[], bool], limit: float) -> float:
    """How long it takes until something happens, in seconds."""
    start = time.monotonic()
    poll(fact, lambda: happens() or None, limit)
    return time.monotonic() - start


def drip(client: Client, data: bytes) -> Callable[[], bool]:
    """Sends the next byte, again and again; tells whether the connection has ended by then."""
    rest = iter(data * 1000)

    def is_cut() -> bool:
        if not client.send(bytes([next(rest)])):
            return True
        client.read(seconds=0)
        return client.is_closed

    return is_cut


def assert_said_nothing_but_408(client: Client) -> None:
    """A client that was too slow may be told so."""
    assert [answer.status for answer in read_answers(client.received)] in ([], [408])


def fewest_descriptors(server: Serving) -> int:
    """What it holds between two of the scrapes that go on meanwhile."""
    seen: list[int] = []

    def look() -> bool:
        seen.append(server.holdings().descriptors)
        return True

    observed("it answers", look, 0.5)
    return min(seen)


@pytest.fixture(params=["tcp", "unix"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where to listen: each promise holds for both."""
    return "127.0.0.1:0" if request.param == "tcp" else f"unix:{tmp_path}/agent.sock"


@pytest.mark.parametrize(
    "start",
    [b"", b"GET /healthz HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: "],
    ids=["request-line", "field-name", "field-value"],
)
def test_a_request_that_comes_byte_by_byte_is_cut_at_the_header_deadline(
    tmp_path: Path, address: str, start: bytes
) -> None:
    with (
        Serving(tmp_path / "log", address, PROBE_HEADER_SECONDS=str(HEADER_SECONDS)) as server,
        Client(server.url) as client,
    ):
        client.send(start)
        passed = seconds_until("it is cut", drip(client, b"a"), HEADER_SECONDS + SLACK)
        assert passed > HEADER_SECONDS / 2
        assert_said_nothing_but_408(client)


def test_a_connection_without_a_byte_is_cut_at_the_header_deadline(
    tmp_path: Path, address: str
) -> None:
    with (
        Serving(tmp_path / "log", address, PROBE_HEADER_SECONDS=str(HEADER_SECONDS)) as server,
        Client(server.url) as client,
    ):

        def is_cut() -> bool:
            client.read(seconds=0.05)
            return client.is_closed

        passed = seconds_until("it is cut", is_cut, HEADER_SECONDS + SLACK)
        assert passed > HEADER_SECONDS / 2
        assert_said_nothing_but_408(client)


def test_a_request_in_pieces_within_the_deadline_is_answered(tmp_path: Path) -> None:
    with (
        Serving(tmp_path / "log", f"unix:{tmp_path}/s", PROBE_HEADER_SECONDS="5") as server,
        Client(server.url) as client,
    ):
        client.trickle(get())
        assert client.answer().status == 200


def test_a_kept_connection_may_idle_up_to_the_idle_timeout(tmp_path: Path, address: str) -> None:
    idle = 2
    with (
        Serving(
            tmp_path / "log",
            address,
            PROBE_HEADER_SECONDS="0.5",
            PROBE_IDLE_SECONDS=str(idle),
        ) as server,
        Client(server.url) as client,
    ):
        assert client.ask(get()).status == 200

        def is_open() -> bool:
            client.read(seconds=0.05)
            return not client.is_closed

        observed("the connection is open", is_open, idle / 2)
        assert client.ask(get()).status == 200
        # The time runs anew after each answer.
        passed = seconds_until("it is cut", lambda: not is_open(), idle + SLACK)
        assert passed > idle / 2
        assert client.received == b""


def test_the_next_request_of_a_kept_connection_has_a_deadline_too(
    tmp_path: Path, address: str
) -> None:
    with (
        Serving(
            tmp_path / "log",
            address,
            PROBE_HEADER_SECONDS=str(HEADER_SECONDS),
            PROBE_IDLE_SECONDS="2",
        ) as server,
        Client(server.url) as client,
    ):
        assert client.ask(get()).status == 200
        # The idle timeout alone would never come: something moves all the time.
        seconds_until("it is cut", drip(client, b"a"), 2 + HEADER_SECONDS + SLACK)
        assert_said_nothing_but_408(client)


def test_a_reader_that_stalls_is_cut_at_the_idle_timeout_and_nobody_waits_for_it(
    tmp_path: Path, address: str
) -> None:
    idle = 2
    with (
        Serving(tmp_path / "log", address, PROBE_IDLE_SECONDS=str(idle)) as server,
        Scraper(server.url) as scraper,
    ):
        with Client(server.url, window=WINDOW) as client:
            client.send(get("/large"))
            start = time.monotonic()
            assert client.read(size=WINDOW)
            assert client.received.startswith(b"HTTP/1.1 200 ")
            # The agent keeps files open from its first scrape on.
            scraper.await_more(1)
            # The kernel keeps what was sent, so only the agent's side can tell.
            held = fewest_descriptors(server)
            poll(
                "its descriptor is closed",
                lambda: server.holdings().descriptors < held or None,
                idle + SLACK,
            )
            passed = time.monotonic() - start
            assert passed > idle / 2
            # What the kernel held for it still comes, and then the end.
            assert len(client.read_to_end()) < LARGE_BYTES
    scraper.assert_none_lost(limit=1)


def test_a_reader_that_drips_is_cut_at_the_limit_for_an_answer(
    tmp_path: Path, address: str
) -> None:
    limit = 2
    with (
        Serving(tmp_path / "log", address, PROBE_ANSWER_SECONDS=str(limit)) as server,
        Scraper(server.url) as scraper,
        Client(server.url, window=WINDOW) as client,
    ):
        taken = 0

        def is_cut() -> bool:
            nonlocal taken
            client.read(seconds=0.01, size=4 * WINDOW)
            taken += len(client.received)
            client.received = b""
            return client.is_closed

        client.send(get("/large"))
        passed = seconds_until("it is cut", is_cut, limit + 2 * SLACK)
        assert passed > limit / 2
        assert 0 < taken < LARGE_BYTES
        scraper.await_more(1)
    scraper.assert_none_lost(limit=1)


def test_a_reader_that_takes_its_time_within_the_limit_has_everything(tmp_path: Path) -> None:
    size = 1 << 20
    with (
        Serving(
            tmp_path / "log",
            PROBE_IDLE_SECONDS="1",
            PROBE_LARGE_BYTES=str(size),
        ) as server,
        Client(server.url, window=WINDOW) as client,
    ):
        start = time.monotonic()
        client.send(get("/large", "Connection: close"))
        wire = b""
        while not client.is_closed:
            # It reads twice as long as the idle timeout is, but something moves all the time.
            if time.monotonic() - start < 2:
                time.sleep(0.02)
            client.read(size=1 << 12)
            wire += client.received
            client.received = b""
        (answer,) = read_answers(wire)
        assert len(answer.body) == size
