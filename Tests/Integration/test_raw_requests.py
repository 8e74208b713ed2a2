# SPDX-License-Identifier: Apache-2.0
"""Raw requests: no request gets two responses, or the response to another."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from newer_libraries import Libraries
from raw import Response, Client, get, parse_responses
from raw_lines import ABOUT_LINES
from raw_table import ABOUT_FIELDS, SMUGGLED, Row, is_strict
from serving import Serving, scrape

pytestmark = pytest.mark.compute

ROWS = [*ABOUT_FIELDS, *ABOUT_LINES]
LAST = get("/healthz", "Connection: close")
"""Sent last on a connection that stays open: its response comes last, and ends the connection."""


@pytest.fixture(scope="module")
def servers(libraries: Libraries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Serving]]:
    """An agent on TCP and one on a Unix socket, with each installed libmicrohttpd."""
    folder = tmp_path_factory.mktemp("raw")
    socket = f"unix:{folder}/agent.sock"
    with (
        Serving(folder / "tcp.log", libraries=libraries) as tcp,
        Serving(folder / "unix.log", address=socket, libraries=libraries) as unix,
    ):
        yield {"tcp": tcp, "unix": unix, "unix-in-pieces": unix}


@pytest.fixture(scope="module")
def strict(servers: dict[str, Serving]) -> bool:
    """Whether their library itself refuses input that is not HTTP."""
    return is_strict(servers["tcp"].url)


def send(client: Client, way: str, request: bytes) -> None:
    """Sends a request at once, or in pieces that the agent has to reassemble."""
    if way == "unix-in-pieces":
        client.trickle(request)
    else:
        client.send(request)


def assert_is_last(response: Response) -> None:
    """Checks the header fields of a response after which the connection ends."""
    assert response.value("connection").lower() == "close"
    assert not response.values("transfer-encoding")


def test_the_names_of_the_rows_are_unique() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) >= 60


@pytest.mark.parametrize("way", ["tcp", "unix", "unix-in-pieces"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_request_gets_exactly_one_response(servers: dict[str, Serving], strict: bool, row: Row, way: str) -> None:
    row = row.by(strict)
    with Client(servers[way].url) as client:
        if row.is_kept is not False:
            send(client, way, row.request)
            first = client.read_response(row.is_head)
            if first.status == 200 or row.is_kept:
                # An extra response would precede the response to this request.
                assert client.send(LAST), "the connection was closed"
                (last,) = parse_responses(client.read_to_end())
                assert (first.status in row.statuses, last.body) == (True, b"alive\n")
                return
            rest = client.read_to_end()
            assert not rest, f"unexpected bytes: {rest[:200]!r}"
            responses = [first]
        else:
            send(client, way, row.request + SMUGGLED)
            responses = parse_responses(client.read_to_end(), [row.is_head])
        if not row.statuses:
            assert responses == []
            return
        assert [response.status in row.statuses for response in responses] == [True], responses
        assert_is_last(responses[0])
        if responses[0].status == 405:
            assert responses[0].value("allow") == "GET, HEAD"


@pytest.mark.parametrize("way", ["tcp", "unix", "unix-in-pieces"])
def test_twenty_pipelined_requests_get_responses_in_order(
    servers: dict[str, Serving], way: str
) -> None:
    expected = [200 if number % 3 else 404 for number in range(20)]
    requests = [get("/healthz" if status == 200 else "/nothing") for status in expected]
    with Client(servers[way].url) as client:
        send(client, way, b"".join(requests) + LAST)
        responses = parse_responses(client.read_to_end())
    assert [response.status for response in responses] == [*expected, 200]


@pytest.mark.parametrize("way", ["tcp", "unix", "unix-in-pieces"])
def test_a_refusal_among_pipelined_requests_is_the_last_response(
    servers: dict[str, Serving], way: str
) -> None:
    with Client(servers[way].url) as client:
        send(client, way, get() + get("/nothing") + get("/a//b") + get() + SMUGGLED)
        responses = parse_responses(client.read_to_end())
    assert [response.status for response in responses] == [200, 404, 400]


@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_a_half_closed_client_gets_its_response_and_the_connection_ends(
    servers: dict[str, Serving], way: str
) -> None:
    with Client(servers[way].url) as client:
        client.send(get())
        client.finish_sending()
        (response,) = parse_responses(client.read_to_end())
    assert response.body == b"alive\n"


@pytest.mark.parametrize("way", ["tcp", "unix"])
@pytest.mark.parametrize("cut", [0, 1, 4, 12, 23, 24, 40])
def test_a_client_that_half_closes_during_a_request_is_disconnected(
    servers: dict[str, Serving], cut: int, way: str
) -> None:
    with Client(servers[way].url) as client:
        client.send(get()[:cut])
        client.finish_sending()
        responses = parse_responses(client.read_to_end())
    assert [response.status for response in responses] in ([], [400])


def test_head_has_the_header_fields_of_get(servers: dict[str, Serving]) -> None:
    varying = {"date", "content-length"}
    for path in ("/healthz", "/metrics", "/", "/nothing"):
        with Client(servers["tcp"].url) as client:
            head = client.exchange(get(path, method="HEAD"), is_head=True)
            full = client.exchange(get(path))
        assert (head.status, head.body) == (full.status, b"")
        fields = [[one for one in both.fields if one[0] not in varying] for both in (head, full)]
        assert fields[0] == fields[1]
        if path != "/metrics":
            assert head.value("content-length") == str(len(full.body))


def test_a_tls_client_is_disconnected_at_the_header_deadline(tmp_path: Path) -> None:
    hello = ssl.MemoryBIO()
    session = ssl.create_default_context().wrap_bio(
        ssl.MemoryBIO(), hello, server_hostname="localhost"
    )
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    with (
        Serving(tmp_path / "log", PROBE_HEADER_SECONDS="1") as server,
        Client(server.url) as client,
    ):
        client.send(hello.read())
        # The other deadlines are ten minutes.
        responses = parse_responses(client.read_to_end())
        assert [response.status for response in responses] in ([], [400])
        scrape(server.url)


def test_refusals_are_counted_and_scrapes_still_work(
    servers: dict[str, Serving],
) -> None:
    for server in (servers["tcp"], servers["unix"]):
        before = server.refusals()
        for path in ("//", "/..", "/%00", "/%zz"):
            with Client(server.url) as client:
                client.send(get(path))
                parse_responses(client.read_to_end())
        assert server.refusals() == before + 4
        # No requested path became a label value.
        pages = {page for page, _ in server.answered()}
        known = {"/metrics", "/healthz", "/readyz", "/", "_REFUSED", "_UNMATCHED"}
        assert pages <= known
