# SPDX-License-Identifier: Apache-2.0
"""However many come, and however badly they behave, the scraper gets through, and nothing is left.

All clients are on this machine, which has fewer processors than they are: a scrape is given one
second where the promise says so, and else what Prometheus would wait for.
"""

import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from raw import Client, get, read_answers
from serving import Scraper, Serving, observed, scrape

pytestmark = pytest.mark.wait

MANY = 10_000
BATCH = 64
"""How many come between two that are served: less than the kernel's queue of new connections."""
WINDOW = 4096
PLACES = 8
"""Answers of an ordinary page that are sent at once."""
LARGE_BYTES = 4 << 20
MEMORY = 64 << 20
"""How much more may stay resident after a crowd, given that a smaller one has been there before.

That one has filled what malloc keeps in its arenas, and the stacks that are kept for new threads;
this is for where the next one falls otherwise. If each of 200 clients left its large body behind,
it would be 800 MiB; if each of 10,000 left its connection, 32 KiB at least, it would be 312 MiB.
"""
SERIES = 9_000
SERIES_MEMORY = 24 << 20
"""The same where a body is an exposition: 200 of them are 38 MB or more."""
SCRAPE_LIMIT = 1.0
LOSS_LIMIT = 10.0
"""Prometheus' own timeout, by default."""


@contextmanager
def descriptors(count: int) -> Iterator[None]:
    """Lets this process open so many files, or skips the test if it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"NEEDS {count} DESCRIPTORS: the hard limit is {hard} (ulimit -Hn)")
    if soft == resource.RLIM_INFINITY or soft >= count:
        yield
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def come(stack: ExitStack, address: str, count: int, **how: int | str | None) -> list[Client]:
    """So many connections, all accepted: the last of each batch was served behind the others."""
    crowd: list[Client] = []
    for number in range(1, count + 1):
        crowd.append(stack.enter_context(Client(address, **how)))  # type: ignore[arg-type]
        if number % BATCH == 0 or number == count:
            assert crowd[-1].ask(get()).status == 200
    return crowd


@pytest.fixture(params=["tcp", "unix"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where to listen: on a Unix socket all clients come from the same place."""
    return "127.0.0.1:0" if request.param == "tcp" else f"unix:{tmp_path}/agent.sock"


def test_ten_thousand_connections_are_held_and_scrapes_take_less_than_a_second(
    tmp_path: Path,
) -> None:
    with descriptors(MANY + 500), Serving(tmp_path / "log") as server:
        with ExitStack() as stack:
            come(stack, server.url, 2 * BATCH)
        before = server.rested_holdings()
        with ExitStack() as stack, Scraper(server.url) as scraper:
            come(stack, server.url, MANY)
            # All of them are held while these go on.
            scraper.await_more(4)
            held = server.holdings()
        scraper.assert_none_lost(SCRAPE_LIMIT)
        # Of those it serves it keeps no more than its limit, with room for its own.
        assert held.descriptors < before.descriptors + 2 * 64 + 32
        assert held.threads < before.threads + 2 * 64 + 32
        server.await_return_to(before, MEMORY)


@pytest.mark.parametrize("start", [b"", b"GET /metrics HTTP/1.1\r\nX-A: a"], ids=["mute", "slow"])
def test_connections_without_a_request_do_not_lock_out_a_scrape(
    tmp_path: Path, address: str, start: bytes
) -> None:
    with Serving(tmp_path / "log", address) as server, ExitStack() as stack:
        crowd = [stack.enter_context(Client(server.url)) for _ in range(BATCH)]
        for client in crowd:
            client.send(start)
        with Scraper(server.url, period=0.1) as scraper:

            def all_send() -> bool:
                # Those that were cut come again, though not all at once.
                cut = [place for place, client in enumerate(crowd) if not client.send(start[-1:])]
                for place in cut[:4]:
                    crowd[place].close()
                    crowd[place] = stack.enter_context(Client(server.url))
                    crowd[place].send(start)
                return True

            observed("the crowd is there", all_send, 2)
        scraper.assert_none_lost(SCRAPE_LIMIT)


def test_a_crowd_from_one_address_does_not_cost_another_its_connection(tmp_path: Path) -> None:
    with (
        Serving(tmp_path / "log") as server,
        Client(server.url, source="127.0.0.1") as scraper,
        ExitStack() as stack,
    ):
        assert scraper.ask(get("/metrics")).status == 200
        come(stack, server.url, 3 * BATCH, source="127.0.0.2")
        # It has waited for longer than any of them.
        assert scraper.ask(get("/metrics")).status == 200


def test_a_crowd_from_many_addresses_does_not_lock_out_a_scrape(tmp_path: Path) -> None:
    with (
        Serving(tmp_path / "log") as server,
        ExitStack() as stack,
        Scraper(server.url, period=0.1) as scraper,
    ):
        for number in range(3 * BATCH):
            come(stack, server.url, 1, source=f"127.0.1.{number + 1}")
        scraper.await_more(5)
    scraper.assert_none_lost(SCRAPE_LIMIT)


def test_a_connection_in_use_is_not_the_one_that_is_closed(tmp_path: Path, address: str) -> None:
    with Serving(tmp_path / "log", address) as server, ExitStack() as stack:
        slow = stack.enter_context(Client(server.url))
        slow.send(get() + get("/slow"))
        assert slow.answer().status == 200
        come(stack, server.url, 3 * BATCH)
        server.order("stop")
        # It was told what it had waited for.
        assert slow.answer().status == 503
        server.await_stopped()


def in_waves(server: Serving, count: int, leave: Callable[[Client], None]) -> None:
    """So many clients that ask for a large body, as many at once as are served, and then leave."""
    for _ in range(count // PLACES):
        wave = [Client(server.url, window=WINDOW) for _ in range(PLACES)]
        for client in wave:
            client.send(get("/large"))
        for client in wave:
            while len(client.received) < 10_000:
                assert client.read(), "it was cut early"
            # In the middle, where the agent has the rest of the body still to send.
            assert client.received.startswith(b"HTTP/1.1 200 "), client.received[:100]
        for client in wave:
            leave(client)


def test_clients_that_reset_in_the_middle_of_a_body_leave_nothing_behind(
    tmp_path: Path, address: str
) -> None:
    with Serving(tmp_path / "log", address, PROBE_LARGE_BYTES=str(LARGE_BYTES)) as server:
        in_waves(server, 6 * PLACES, Client.reset)
        before = server.rested_holdings()
        with Scraper(server.url) as scraper:
            in_waves(server, 200, Client.reset)
            scraper.await_more(2)
        scraper.assert_none_lost(SCRAPE_LIMIT)
        server.await_return_to(before, MEMORY)


def test_clients_that_ask_for_large_bodies_all_at_once_are_served_or_told_so(
    tmp_path: Path,
) -> None:
    # More than the kernel takes for a client that does not read yet.
    size = 8 << 20
    with (
        Serving(tmp_path / "log", PROBE_LARGE_BYTES=str(size)) as server,
        Scraper(server.url) as scraper,
    ):
        with ExitStack() as stack:
            crowd = [stack.enter_context(Client(server.url)) for _ in range(3 * PLACES)]
            for client in crowd:
                client.send(get("/large", "Connection: close"))
            told: list[int] = []
            for client in crowd:
                # One that reads late may be cut to make room; half an answer is none.
                wire = client.read_to_end(30)
                if wire and wire.startswith(b"HTTP/1.1 503 "):
                    (answer,) = read_answers(wire)
                    assert int(answer.value("retry-after")) > 0
                told.append(int(wire[9:12] or 0))
        assert told.count(200) >= PLACES, told
        assert set(told) <= {200, 503}, told
        scraper.await_more(1)
    scraper.assert_none_lost(LOSS_LIMIT)


def stall(stack: ExitStack, server: Serving, count: int) -> None:
    """So many clients that ask for a scrape and do not read it."""
    for _ in range(count):
        client = stack.enter_context(Client(server.url, window=WINDOW))
        client.send(get("/metrics"))


def test_clients_that_stall_in_a_scrape_leave_room_for_one(tmp_path: Path) -> None:
    with Serving(tmp_path / "log", PROBE_SERIES=str(SERIES)) as server:
        # More than the kernel takes for a client that does not read.
        assert len(scrape(server.url)) > 20 * SERIES
        with ExitStack() as stack:
            stall(stack, server, BATCH)
        before = server.rested_holdings()
        with ExitStack() as stack, Scraper(server.url) as scraper:
            stall(stack, server, 200)
            scraper.await_more(8)
        scraper.assert_none_lost(LOSS_LIMIT)
        server.await_return_to(before, SERIES_MEMORY)


def test_clients_that_come_and_go_leave_nothing_behind(tmp_path: Path, address: str) -> None:
    def finish(client: Client) -> None:
        client.finish_sending()
        client.close()

    endings: list[Callable[[Client], None]] = [Client.close, Client.reset, finish]
    with Serving(tmp_path / "log", address) as server:
        before = server.rested_holdings()
        with Scraper(server.url) as scraper:
            for number in range(600):
                client = Client(server.url)
                # With nothing said, with a half, with an answer that nobody reads.
                client.send((b"", b"GET /heal", get(), get() * 5)[number % 4])
                endings[number % 3](client)
            scraper.await_more(1)
        scraper.assert_none_lost(LOSS_LIMIT)
        server.await_return_to(before, MEMORY)
