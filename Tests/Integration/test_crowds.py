# SPDX-License-Identifier: Apache-2.0
"""However many come, and however badly they behave, the scraper gets through, and nothing is left.

The crowd and the scraper are one thread, so that a scrape is always behind the same clients, and no
client of the crowd comes between a scraper's connection and its request. The agent may be slow on a
busy machine, so a scrape may take its time; what would keep it out are clients, which stay.
"""

import itertools
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from harness import poll
from raw import SECONDS, Client, get, read_answer
from serving import CALM_MALLOC, Serving, scrape

pytestmark = pytest.mark.wait

MANY = 10_000
BATCH = 64
"""How many come between two that are served: less than the kernel's queue of new connections."""
LIMIT = 64
"""Connections at one time, by default; twice as many while none of them can be spared."""
WINDOW = 4096
PLACES = 8
"""Answers of an ordinary page that are sent at once."""
LARGE_BYTES = 4 << 20
MEMORY = 64 << 20
"""How much more may stay resident after a crowd, given that a smaller one has been there before.

That one has made the stacks that are kept for new threads; this is for where the next one falls
otherwise. If each of 200 clients left its large body behind, it would be 800 MiB; if each of 10,000
left its connection, 32 KiB at least, it would be 312 MiB.
"""
SERIES = 9_000
SERIES_MEMORY = 24 << 20
"""The same where a body is an exposition: 200 of them are 38 MB or more."""
SCRAPE_SECONDS = 1.0
"""What a scrape behind a crowd may take: what is waited for before a client is cut, several times."""
SLOWER = 10
"""How many times as long as a scrape of an agent without a crowd it may take on a slow machine."""


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


def come(
    stack: ExitStack,
    server: Serving,
    count: int,
    *,
    amid: Callable[[], None] = lambda: None,
    **how: int | str | None,
) -> list[Client]:
    """So many connections, all accepted: the last of each batch was served behind the others.

    Before that one comes, `amid` is done: behind the rest of the batch, which may not be accepted yet.
    """
    crowd: list[Client] = []
    for number in range(1, count + 1):
        is_last = number % BATCH == 0 or number == count
        if is_last:
            amid()
        if count == MANY:
            # One address may not open so many connections a second.
            how["source"] = f"127.0.2.{number // BATCH + 1}"
        crowd.append(stack.enter_context(Client(server.url, **how)))  # type: ignore[arg-type]
        if is_last:
            assert crowd[-1].ask(get()).status == 200
            await_room(server)
    return crowd


def await_room(server: Serving) -> None:
    """Waits until those that were cut are gone.

    The library counts them until then, and turns newcomers away when there are too many.
    """
    poll("those that were cut are gone", lambda: server.sockets() <= 2 * LIMIT + 4 or None, SECONDS)


@pytest.fixture(params=["tcp", "unix"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where to listen: on a Unix socket all clients come from the same place."""
    return "127.0.0.1:0" if request.param == "tcp" else f"unix:{tmp_path}/agent.sock"


def seconds_of_scrape(server: Serving) -> float:
    """How long a scrape takes."""
    start = time.monotonic()
    scrape(server.url)
    return time.monotonic() - start


def test_ten_thousand_connections_are_held_and_do_not_hold_up_scrapes(tmp_path: Path) -> None:
    with (
        descriptors(MANY + 500),
        Serving(tmp_path / "log", **CALM_MALLOC) as server,
        Serving(tmp_path / "control") as control,
    ):
        with ExitStack() as stack:
            come(stack, server, 2 * BATCH)
        before = server.rested_holdings()
        crowded: list[float] = []
        alone: list[float] = []
        batches = itertools.count()

        def scrape_both() -> None:
            if next(batches) % 4 == 0:
                crowded.append(seconds_of_scrape(server))
                alone.append(seconds_of_scrape(control))

        with ExitStack() as stack:
            come(stack, server, MANY, amid=scrape_both)
            # Of those it serves it keeps no more than its limit, with room for its own.
            held = server.holdings()
            assert held.descriptors < before.descriptors + 2 * LIMIT + 32
            assert held.threads < before.threads + 2 * LIMIT + 32
        usual = statistics.median(alone)
        assert statistics.median(crowded) < max(SCRAPE_SECONDS, SLOWER * usual), (crowded, alone)
        server.await_return_to(before, MEMORY)


@pytest.mark.parametrize("start", [b"", b"GET /metrics HTTP/1.1\r\nX-A: a"], ids=["mute", "slow"])
def test_connections_without_a_request_do_not_lock_out_a_scrape(
    tmp_path: Path, address: str, start: bytes
) -> None:
    with Serving(tmp_path / "log", address) as server, ExitStack() as stack:
        crowd = [stack.enter_context(Client(server.url)) for _ in range(BATCH)]
        for client in crowd:
            client.send(start)
        for _ in range(20):
            # Those that were cut come again, though not all at once.
            cut = [place for place, client in enumerate(crowd) if not client.send(start[-1:])]
            for place in cut[:4]:
                crowd[place].close()
                crowd[place] = stack.enter_context(Client(server.url))
                crowd[place].send(start)
            scrape(server.url)


def test_a_crowd_from_one_address_does_not_cost_another_its_connection(tmp_path: Path) -> None:
    with (
        Serving(tmp_path / "log") as server,
        Client(server.url, source="127.0.0.1") as scraper,
        ExitStack() as stack,
    ):
        assert scraper.ask(get("/metrics")).status == 200
        come(stack, server, 3 * BATCH, source="127.0.0.2")
        # It has waited for longer than any of them.
        assert scraper.ask(get("/metrics")).status == 200


def test_a_crowd_from_many_addresses_does_not_lock_out_a_scrape(tmp_path: Path) -> None:
    with Serving(tmp_path / "log") as server, ExitStack() as stack:
        for number in range(3 * BATCH):
            come(stack, server, 1, source=f"127.0.1.{number + 1}")
            if number % 8 == 0:
                scrape(server.url)


def test_a_connection_in_use_is_not_the_one_that_is_closed(tmp_path: Path, address: str) -> None:
    with Serving(tmp_path / "log", address, PROBE_PATIENCE="100") as server, ExitStack() as stack:
        slow = stack.enter_context(Client(server.url))
        slow.send(get() + get("/slow"))
        assert slow.answer().status == 200
        server.rest()
        come(stack, server, 3 * BATCH)
        server.order("stop")
        # It was told what it had waited for.
        assert slow.answer().status == 503
        server.await_stopped()


def in_waves(server: Serving, count: int, leave: Callable[[Client], None]) -> None:
    """So many clients that ask for a large body, as many at once as are served, and then leave."""
    server.rest()
    idle = server.sockets()
    for _ in range(count // PLACES):
        wave = [Client(server.url, window=WINDOW) for _ in range(PLACES)]
        for client in wave:
            client.send(get("/large"))
        for client in wave:
            while len(client.received) < 10_000:
                assert client.read(), "it was cut early"
            # In the middle, where the agent has the rest of the body still to send.
            assert client.received.startswith(b"HTTP/1.1 200 "), client.received[:100]
        scrape(server.url)
        for client in wave:
            leave(client)
        # Else the next wave would have to wait for their places, and cost some of its own theirs.
        poll("the wave has left", lambda: server.sockets() <= idle or None, SECONDS)


def test_clients_that_reset_in_the_middle_of_a_body_leave_nothing_behind(
    tmp_path: Path, address: str
) -> None:
    large = {"PROBE_LARGE_BYTES": str(LARGE_BYTES)}
    with Serving(tmp_path / "log", address, **large, **CALM_MALLOC) as server:
        in_waves(server, 6 * PLACES, Client.reset)
        before = server.rested_holdings()
        in_waves(server, 200, Client.reset)
        server.await_return_to(before, MEMORY)


def test_clients_that_ask_for_large_bodies_all_at_once_are_served_or_told_so(
    tmp_path: Path,
) -> None:
    # More than the kernel takes for a client that does not read yet.
    size = 8 << 20
    with Serving(tmp_path / "log", PROBE_LARGE_BYTES=str(size)) as server, ExitStack() as stack:
        crowd = [stack.enter_context(Client(server.url)) for _ in range(3 * PLACES)]
        for client in crowd:
            client.send(get("/large", "Connection: close"))
        served, refused, cut = 0, 0, 0
        for client in crowd:
            scrape(server.url)
            wire = client.read_to_end()
            found = read_answer(wire) if wire else None
            if found is None:
                # One that reads late may be cut to make room, as it is counted then.
                assert b"HTTP/1.1 200 OK\r\n".startswith(wire[:17])
                cut += 1
                continue
            answer, rest = found
            assert rest == b""
            served += answer.status == 200
            if answer.status != 200:
                assert answer.status == 503
                assert int(answer.value("retry-after")) > 0
                refused += 1
        # Whoever is cut makes room for another one, so the last of them is served.
        assert served >= 1
        assert served + cut >= PLACES
        assert cut <= server.cuts("stalled")


def stall(stack: ExitStack, server: Serving, count: int) -> None:
    """So many clients that ask for a scrape and do not read it."""
    for _ in range(count):
        client = stack.enter_context(Client(server.url, window=WINDOW))
        client.send(get("/metrics"))


def test_clients_that_stall_in_a_scrape_leave_room_for_one(tmp_path: Path) -> None:
    with Serving(tmp_path / "log", PROBE_SERIES=str(SERIES), **CALM_MALLOC) as server:
        # More than the kernel takes for a client that does not read.
        assert len(scrape(server.url)) > 20 * SERIES
        with ExitStack() as stack:
            stall(stack, server, BATCH)
        before = server.rested_holdings()
        with ExitStack() as stack:
            for _ in range(8):
                stall(stack, server, 25)
                # As many as are served at once have what the kernel takes, and hold their places.
                server.rest()
                scrape(server.url)
        server.await_return_to(before, SERIES_MEMORY)


def test_clients_that_come_and_go_leave_nothing_behind(tmp_path: Path, address: str) -> None:
    def finish(client: Client) -> None:
        client.finish_sending()
        client.close()

    endings: list[Callable[[Client], None]] = [Client.close, Client.reset, finish]
    with Serving(tmp_path / "log", address, **CALM_MALLOC) as server:
        before = server.rested_holdings()
        for number in range(600):
            if number % 50 == 0:
                scrape(server.url)
                await_room(server)
            client = Client(server.url)
            # With nothing said, with a half, with an answer that nobody reads.
            client.send((b"", b"GET /heal", get(), get() * 5)[number % 4])
            endings[number % 3](client)
        scrape(server.url)
        server.await_return_to(before, MEMORY)
