# SPDX-License-Identifier: Apache-2.0
"""Crowds of misbehaving clients: the scraper still gets through, and the agent releases everything
afterwards.

The crowd and the scraper are one thread, so that a scrape is always queued behind the same clients,
and no client comes between a scraper's connection and its request. The agent may be slow on a busy
machine, so a scrape may take long; only clients that stay connected would keep it out.
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
from raw import SECONDS, Client, get, parse_response
from serving import CALM_MALLOC, Serving, scrape

pytestmark = pytest.mark.wait

MANY = 10_000
BATCH = 64
"""Clients between two that are served: fewer than fit into the kernel's accept queue."""
LIMIT = 64
"""The default limit of connections; twice as many while none of them may be closed."""
WINDOW = 4096
PERMITS = 8
"""Responses of an ordinary page that are sent at the same time."""
LARGE_BYTES = 4 << 20
MEMORY = 64 << 20
"""How much resident memory may grow after a crowd, if a smaller crowd preceded it.

The smaller crowd has created the stacks that are cached for new threads; this allows for the
placement of the next ones. If each of 200 clients left its large body behind, that would be 800
MiB; if each of 10,000 left its connection, of at least 32 KiB, it would be 312 MiB.
"""
SERIES = 9_000
SERIES_MEMORY = 24 << 20
"""The same for bodies that are expositions: 200 of them are at least 38 MB."""
SCRAPE_SECONDS = 1.0
"""The maximum duration of a scrape behind a crowd: several times the wait before a client is
cut."""
SLOWER = 10
"""The factor allowed on a slow machine, relative to a scrape of an agent without a crowd."""


@contextmanager
def descriptors(count: int) -> Iterator[None]:
    """Raises this process's limit of open files to `count`, or skips the test if that is not
    permitted."""
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


def connect_crowd(
    stack: ExitStack,
    server: Serving,
    count: int,
    *,
    amid: Callable[[], None] = lambda: None,
    **how: int | str | None,
) -> list[Client]:
    """Opens this many connections, all of which are accepted: the last of each batch is served
    after the others.

    Before the last one connects, `amid` is called, while the rest of the batch may not be accepted
    yet.
    """
    crowd: list[Client] = []
    for number in range(1, count + 1):
        is_last = number % BATCH == 0 or number == count
        if is_last:
            amid()
        if count == MANY:
            # A single address may not open so many connections per second.
            how["source"] = f"127.0.2.{number // BATCH + 1}"
        crowd.append(stack.enter_context(Client(server.url, **how)))  # type: ignore[arg-type]
        if is_last:
            assert crowd[-1].exchange(get()).status == 200
            await_room(server)
    return crowd


def await_room(server: Serving) -> None:
    """Waits until cut connections are closed.

    The library counts them until then, and rejects new ones when there are too many.
    """
    poll("cut connections are closed", lambda: server.sockets() <= 2 * LIMIT + 4 or None, SECONDS)


@pytest.fixture(params=["tcp", "unix"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The agent's address. On a Unix socket all clients share one source."""
    return "127.0.0.1:0" if request.param == "tcp" else f"unix:{tmp_path}/agent.sock"


def seconds_of_scrape(server: Serving) -> float:
    """The duration of a scrape."""
    start = time.monotonic()
    scrape(server.url)
    return time.monotonic() - start


def test_ten_thousand_open_connections_do_not_delay_scrapes(tmp_path: Path) -> None:
    with (
        descriptors(MANY + 500),
        Serving(tmp_path / "log", **CALM_MALLOC) as server,
        Serving(tmp_path / "control") as control,
    ):
        with ExitStack() as stack:
            connect_crowd(stack, server, 2 * BATCH)
        before = server.rested_holdings()
        crowded: list[float] = []
        alone: list[float] = []
        batches = itertools.count()

        def scrape_both() -> None:
            if next(batches) % 4 == 0:
                crowded.append(seconds_of_scrape(server))
                alone.append(seconds_of_scrape(control))

        with ExitStack() as stack:
            connect_crowd(stack, server, MANY, amid=scrape_both)
            # It keeps no more of the served connections than its limit, plus its own descriptors.
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
            # Cut clients reconnect, though not all at once.
            cut = [index for index, client in enumerate(crowd) if not client.send(start[-1:])]
            for index in cut[:4]:
                crowd[index].close()
                crowd[index] = stack.enter_context(Client(server.url))
                crowd[index].send(start)
            scrape(server.url)


def test_a_crowd_from_one_address_does_not_close_connections_of_another(tmp_path: Path) -> None:
    with (
        Serving(tmp_path / "log") as server,
        Client(server.url, source="127.0.0.1") as scraper,
        ExitStack() as stack,
    ):
        assert scraper.exchange(get("/metrics")).status == 200
        connect_crowd(stack, server, 3 * BATCH, source="127.0.0.2")
        # It has waited longer than any other client.
        assert scraper.exchange(get("/metrics")).status == 200


def test_a_crowd_from_many_addresses_does_not_lock_out_a_scrape(tmp_path: Path) -> None:
    with Serving(tmp_path / "log") as server, ExitStack() as stack:
        for number in range(3 * BATCH):
            connect_crowd(stack, server, 1, source=f"127.0.1.{number + 1}")
            if number % 8 == 0:
                scrape(server.url)


def test_connections_in_use_are_not_closed_for_new_ones(tmp_path: Path, address: str) -> None:
    with Serving(tmp_path / "log", address, PROBE_PATIENCE="100") as server, ExitStack() as stack:
        slow = stack.enter_context(Client(server.url))
        slow.send(get() + get("/slow"))
        assert slow.read_response().status == 200
        server.rest()
        connect_crowd(stack, server, 3 * BATCH)
        server.order("stop")
        # It received the response that it waited for.
        assert slow.read_response().status == 503
        server.await_stopped()


def in_waves(server: Serving, count: int, leave: Callable[[Client], None]) -> None:
    """Clients that request a large body, in waves as large as are served at once, each of which
    then leaves."""
    server.rest()
    idle = server.sockets()
    for _ in range(count // PERMITS):
        wave = [Client(server.url, window=WINDOW) for _ in range(PERMITS)]
        for client in wave:
            client.send(get("/large"))
        for client in wave:
            while len(client.received) < 10_000:
                assert client.read(), "the connection was cut early"
            # The agent still has the rest of the body to send.
            assert client.received.startswith(b"HTTP/1.1 200 "), client.received[:100]
        scrape(server.url)
        for client in wave:
            leave(client)
        # Otherwise the next wave would wait for their permits, and some of its clients would be
        # cut.
        poll("the wave has left", lambda: server.sockets() <= idle or None, SECONDS)


def test_clients_that_reset_during_a_body_leave_nothing_behind(
    tmp_path: Path, address: str
) -> None:
    large = {"PROBE_LARGE_BYTES": str(LARGE_BYTES)}
    with Serving(tmp_path / "log", address, **large, **CALM_MALLOC) as server:
        in_waves(server, 6 * PERMITS, Client.reset)
        before = server.rested_holdings()
        in_waves(server, 200, Client.reset)
        server.await_return_to(before, MEMORY)


def test_clients_that_request_large_bodies_at_once_are_served_or_get_503(
    tmp_path: Path,
) -> None:
    # More than the kernel buffers for a client that does not read yet.
    size = 8 << 20
    with Serving(tmp_path / "log", PROBE_LARGE_BYTES=str(size)) as server, ExitStack() as stack:
        crowd = [stack.enter_context(Client(server.url)) for _ in range(3 * PERMITS)]
        for client in crowd:
            client.send(get("/large", "Connection: close"))
        served, refused, cut = 0, 0, 0
        for client in crowd:
            scrape(server.url)
            wire = client.read_to_end()
            found = parse_response(wire) if wire else None
            if found is None:
                # A client that reads late may be cut to make room, which is counted.
                assert b"HTTP/1.1 200 OK\r\n".startswith(wire[:17])
                cut += 1
                continue
            response, rest = found
            assert rest == b""
            served += response.status == 200
            if response.status != 200:
                assert response.status == 503
                assert int(response.value("retry-after")) > 0
                refused += 1
        # Each cut client makes room for another one, so the last one is served.
        assert served >= 1
        assert served + cut >= PERMITS
        assert cut <= server.cuts("stalled")


def stall(stack: ExitStack, server: Serving, count: int) -> None:
    """Clients that request a scrape and do not read it."""
    for _ in range(count):
        client = stack.enter_context(Client(server.url, window=WINDOW))
        client.send(get("/metrics"))


def test_clients_that_stall_during_a_scrape_do_not_block_scrapes(tmp_path: Path) -> None:
    with Serving(tmp_path / "log", PROBE_SERIES=str(SERIES), **CALM_MALLOC) as server:
        # More than the kernel buffers for a client that does not read.
        assert len(scrape(server.url)) > 20 * SERIES
        with ExitStack() as stack:
            stall(stack, server, BATCH)
        before = server.rested_holdings()
        with ExitStack() as stack:
            for _ in range(8):
                stall(stack, server, 25)
                # As many as are served at once have filled the kernel's buffer, and hold their
                # permits.
                server.rest()
                scrape(server.url)
        server.await_return_to(before, SERIES_MEMORY)


def test_clients_that_connect_and_disconnect_leave_nothing_behind(tmp_path: Path, address: str) -> None:
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
            # Having sent nothing, half a request, or requests whose responses are not read.
            client.send((b"", b"GET /heal", get(), get() * 5)[number % 4])
            endings[number % 3](client)
        scrape(server.url)
        server.await_return_to(before, MEMORY)
