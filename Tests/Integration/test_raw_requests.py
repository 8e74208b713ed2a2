# SPDX-License-Identifier: Apache-2.0
"""No request, however it is written, gets two answers, or one that was meant for another."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from newer_libraries import Libraries
from raw import Answer, Client, get, read_answers
from raw_lines import ABOUT_LINES
from raw_table import ABOUT_FIELDS, SMUGGLED, Row, is_strict
from serving import Serving, scrape

pytestmark = pytest.mark.compute

ROWS = [*ABOUT_FIELDS, *ABOUT_LINES]
LAST = get("/healthz", "Connection: close")
"""Asked last on a connection that goes on: its answer stands at the end, and ends it."""


@pytest.fixture(scope="module")
def servers(libraries: Libraries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Serving]]:
    """An agent on TCP and one on a Unix socket, with each libmicrohttpd that there is."""
    folder = tmp_path_factory.mktemp("raw")
    socket = f"unix:{folder}/agent.sock"
    with (
        Serving(folder / "tcp.log", libraries=libraries) as tcp,
        Serving(folder / "unix.log", address=socket, libraries=libraries) as unix,
    ):
        yield {"tcp": tcp, "unix": unix, "unix-in-pieces": unix}


@pytest.fixture(scope="module")
def strict(servers: dict[str, Serving]) -> bool:
    """Whether their library refuses by itself what no reader of HTTP takes."""
    return is_strict(servers["tcp"].url)


def send(client: Client, way: str, request: bytes) -> None:
    """Sends a request whole, or so that the agent has to put it together."""
    if way == "unix-in-pieces":
        client.trickle(request)
    else:
        client.send(request)


def assert_is_last(answer: Answer) -> None:
    """An answer after which the connection ends says so, and says what its body is not."""
    assert answer.value("connection").lower() == "close"
    assert not answer.values("transfer-encoding")


def test_the_names_of_the_rows_are_unique() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) >= 60


@pytest.mark.parametrize("way", ["tcp", "unix", "unix-in-pieces"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_request_has_one_answer(servers: dict[str, Serving], strict: bool, row: Row, way: str) -> None:
    row = row.by(strict)
    with Client(servers[way].url) as client:
        if row.is_kept is not False:
            send(client, way, row.request)
            first = client.answer(row.is_head)
            if first.status == 200 or row.is_kept:
                # What was answered besides would stand before the answer to this one.
                assert client.send(LAST), "the connection did not go on"
                (last,) = read_answers(client.read_to_end())
                assert (first.status in row.statuses, last.body) == (True, b"alive\n")
                return
            rest = client.read_to_end()
            assert not rest, f"more came: {rest[:200]!r}"
            answers = [first]
        else:
            send(client, way, row.request + SMUGGLED)
            answers = read_answers(client.read_to_end(), [row.is_head])
        if not row.statuses:
            assert answers == []
            return
        assert [answer.status in row.statuses for answer in answers] == [True], answers
        assert_is_last(answers[0])
        if answers[0].status == 405:
            assert answers[0].value("allow") == "GET, HEAD"


@pytest.mark.parametrize("way", ["tcp", "unix", "unix-in-pieces"])
def test_twenty_pipelined_requests_are_answered_in_order(
    servers: dict[str, Serving], way: str
) -> None:
    expected = [200 if number % 3 else 404 for number in range(20)]
    requests = [get("/healthz" if status == 200 else "/nothing") for status in expected]
    with Client(servers[way].url) as client:
        send(client, way, b"".join(requests) + LAST)
        answers = read_answers(client.read_to_end())
    assert [answer.status for answer in answers] == [*expected, 200]


@pytest.mark.parametrize("way", ["tcp", "unix", "unix-in-pieces"])
def test_a_refusal_amid_pipelined_requests_is_the_last_answer(
    servers: dict[str, Serving], way: str
) -> None:
    with Client(servers[way].url) as client:
        send(client, way, get() + get("/nothing") + get("/a//b") + get() + SMUGGLED)
        answers = read_answers(client.read_to_end())
    assert [answer.status for answer in answers] == [200, 404, 400]


@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_a_client_that_has_finished_is_answered_and_its_connection_ends(
    servers: dict[str, Serving], way: str
) -> None:
    with Client(servers[way].url) as client:
        client.send(get())
        client.finish_sending()
        (answer,) = read_answers(client.read_to_end())
    assert answer.body == b"alive\n"


@pytest.mark.parametrize("way", ["tcp", "unix"])
@pytest.mark.parametrize("cut", [0, 1, 4, 12, 23, 24, 40])
def test_a_client_that_finishes_too_early_is_let_go(
    servers: dict[str, Serving], cut: int, way: str
) -> None:
    with Client(servers[way].url) as client:
        client.send(get()[:cut])
        client.finish_sending()
        answers = read_answers(client.read_to_end())
    assert [answer.status for answer in answers] in ([], [400])


def test_a_page_is_the_same_for_HEAD_but_for_its_body(servers: dict[str, Serving]) -> None:
    varying = {"date", "content-length"}
    for path in ("/healthz", "/metrics", "/", "/nothing"):
        with Client(servers["tcp"].url) as client:
            head = client.ask(get(path, method="HEAD"), is_head=True)
            full = client.ask(get(path))
        assert (head.status, head.body) == (full.status, b"")
        fields = [[one for one in both.fields if one[0] not in varying] for both in (head, full)]
        assert fields[0] == fields[1]
        if path != "/metrics":
            assert head.value("content-length") == str(len(full.body))


def test_a_client_that_wants_TLS_is_let_go_within_the_header_deadline(tmp_path: Path) -> None:
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
        answers = read_answers(client.read_to_end())
        assert [answer.status for answer in answers] in ([], [400])
        scrape(server.url)


def test_after_all_that_a_scrape_works_and_has_counted_the_refusals(
    servers: dict[str, Serving],
) -> None:
    for server in (servers["tcp"], servers["unix"]):
        before = server.refusals()
        for path in ("//", "/..", "/%00", "/%zz"):
            with Client(server.url) as client:
                client.send(get(path))
                read_answers(client.read_to_end())
        assert server.refusals() == before + 4
        # Whatever was asked for, its path has become no label.
        pages = {page for page, _ in server.answered()}
        known = {"/metrics", "/healthz", "/readyz", "/", "_REFUSED", "_UNMATCHED"}
        assert pages <= known
