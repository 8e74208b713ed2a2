# SPDX-License-Identifier: Apache-2.0
"""/debug on its own listener, and with a token on every address."""

import contextlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import poll
from ports import reserved_port
from raw import Response, send_request, get
from serving import Serving, scrape

pytestmark = pytest.mark.wait

PAGE = "/debug/probe"
TOKEN = "s3cret-T0ken_of.~+/this=="
WRONG = [
    *("Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"),
    *(f"Bearer {TOKEN.lower()}", f"Bearer {TOKEN[1:]}", f"Bearer {TOKEN} {TOKEN}", TOKEN),
    *(f"Bearer {TOKEN},", f"Bearer x{TOKEN}", f'Bearer "{TOKEN}"', f"Bearer{TOKEN}"),
    *(f"Basic {TOKEN}", f"Token {TOKEN}", f"Bearer {'x' * 5_000}", "Bearer \xff\xfe"),
]


def request_with(address: str, *authorization: str, path: str = PAGE) -> Response:
    """Sends a request with these credentials, and returns the response."""
    return send_request(address, get(path, *(f"Authorization: {value}" for value in authorization)))


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """A file with the token and a line feed, as an editor writes it."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    return file


@contextlib.contextmanager
def open_to_all(folder: Path, **environment: str) -> Iterator[Serving]:
    """An agent that listens on every interface, and is reached through 127.0.0.1."""
    environment = {"OUTRIDER_DEBUG_ADDRESS": "127.0.0.1:0"} | environment
    with Serving(folder / "log", "0.0.0.0:0", **environment) as server:
        assert server.url.startswith("http://127.0.0.1:")
        yield server


def test_without_a_token_debug_is_forbidden_to_every_client(tmp_path: Path) -> None:
    with open_to_all(tmp_path) as server:
        assert request_with(server.url).status == 403
        for value in ("Bearer", "Bearer ", f"Bearer {TOKEN}"):
            assert request_with(server.url, value).status == 403
        scrape(server.url)
        assert send_request(server.url, get("/healthz")).status == 200


def test_with_a_token_debug_requires_it(tmp_path: Path, token: Path) -> None:
    with open_to_all(tmp_path, OUTRIDER_DEBUG_TOKEN_FILE=str(token)) as server:
        for values in ([], *([value] for value in WRONG)):
            response = request_with(server.url, *values)
            assert response.status == 401, values
            assert response.value("www-authenticate").startswith("Bearer"), values
            assert response.value("x-content-type-options") == "nosniff"
        for value in (f"Bearer {TOKEN}", f"bearer {TOKEN}"):
            response = request_with(server.url, value)
            assert (response.status, response.body) == (200, b"debug\n"), value
        # It would be ambiguous which of the two counts.
        both = [f"Bearer {TOKEN}", "Bearer wrong"]
        assert request_with(server.url, *both).status in (400, 401)
        assert request_with(server.url, *reversed(both)).status in (400, 401)
        assert send_request(server.url, get(f"{PAGE}?access_token={TOKEN}")).status == 401
        assert request_with(server.url, path="/%64ebug/probe").status == 401
        # Another site must not use a browser that has the token.
        fields = [f"Authorization: Bearer {TOKEN}", "Origin: http://evil.example"]
        assert send_request(server.url, get(PAGE, *fields)).status == 403
        # The token is for /debug only, and is never logged.
        scrape(server.url)
        assert TOKEN not in server.log_text


def test_a_token_can_be_replaced_while_the_agent_runs(tmp_path: Path, token: Path) -> None:
    with open_to_all(tmp_path, OUTRIDER_DEBUG_TOKEN_FILE=str(token)) as server:
        assert request_with(server.url, f"Bearer {TOKEN}").status == 200
        # As Kubernetes does it: another file replaces it.
        other = tmp_path / "other"
        other.write_text("another")
        other.rename(token)
        poll(
            "the new token is accepted",
            lambda: request_with(server.url, "Bearer another").status == 200 or None,
        )
        assert request_with(server.url, f"Bearer {TOKEN}").status == 401
        token.unlink()
        poll(
            "the token is rejected once its file is removed",
            lambda: request_with(server.url, "Bearer another").status in (401, 403) or None,
        )
        scrape(server.url)


@pytest.mark.parametrize("kind", ["missing", "empty", "blank", "directory", "NUL", "huge"])
def test_a_token_file_without_a_token_admits_no_client(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "token"
    match kind:
        case "empty":
            file.write_bytes(b"")
        case "blank":
            file.write_bytes(b" \r\n\n")
        case "directory":
            file.mkdir()
        case "NUL":
            file.write_bytes(b"\0secret\n")
        case "huge":
            file.write_bytes(b"x" * (5 << 20))
    with open_to_all(tmp_path, OUTRIDER_DEBUG_TOKEN_FILE=str(file)) as server:
        for values in ([], ["Bearer"], ["Bearer "], ["Bearer x"], ["Bearer \t"], ["Bearer secret"]):
            assert request_with(server.url, *values).status in (401, 403), values
        scrape(server.url)
        # The operator needs to see the misconfiguration in the log.
        poll("the log names the cause", lambda: str(file) in server.log_text or None)


@pytest.mark.parametrize("kind", ["loopback", "every interface", "unix"])
def test_a_configured_token_is_required_on_every_address(tmp_path: Path, token: Path, kind: str) -> None:
    addresses = {"loopback": "127.0.0.1:0", "every interface": "0.0.0.0:0", "unix": f"unix:{tmp_path}/agent.sock"}
    for debug in ("", "shared", "127.0.0.1:0", f"unix:{tmp_path}/debug.sock"):
        more = {"OUTRIDER_DEBUG_ADDRESS": debug, "OUTRIDER_DEBUG_TOKEN_FILE": str(token)}
        with Serving(tmp_path / "log", addresses[kind], **more) as server:
            for url in filter(None, (server.url, server.debug_url)):
                assert request_with(url).status == 401, (debug, url)
                assert request_with(url, f"Bearer {TOKEN}").status == 200, (debug, url)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "0.0.0.0:0"])
def test_by_default_debug_has_its_own_loopback_listener_and_the_main_page_links_to_it(tmp_path: Path, address: str) -> None:
    with Serving(tmp_path / "log", address, OUTRIDER_DEBUG_ADDRESS="") as server:
        assert server.debug_url.startswith("http://127.0.0.1:") and server.debug_url != server.url
        assert request_with(server.debug_url).status == 200
        assert request_with(server.debug_url, "Bearer whatever").status == 200
        refusal = request_with(server.url)
        assert refusal.status == 403 and f"{server.debug_url}/" in refusal.body.decode()
        assert f'<a href="{server.debug_url}/">' in send_request(server.url, get("/")).body.decode()
        scrape(server.url)


def test_the_link_of_the_main_page_works_in_a_browser(tmp_path: Path) -> None:
    with Serving(tmp_path / "log", OUTRIDER_DEBUG_ADDRESS="") as server:
        landing = send_request(server.url, get("/")).body.decode()
        (link,) = re.findall(r'href="(http://[^"]+)/"', landing)
        # Another port of the same address is same-site, but not same-origin (Fetch Metadata).
        response = send_request(link, get("/", "Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate"))
        assert response.status == 200 and f'<a href="{PAGE}">' in response.body.decode()
        assert send_request(link, get(PAGE, "Sec-Fetch-Site: same-origin")).status == 200
        assert send_request(link, get(PAGE, "Sec-Fetch-Site: same-site")).status == 403


def test_several_agents_on_a_machine_each_have_a_debug_listener(tmp_path: Path) -> None:
    with contextlib.ExitStack() as running:
        servers = [
            running.enter_context(Serving(tmp_path / f"log{n}", f"127.0.0.1:{reserved_port()}", OUTRIDER_DEBUG_ADDRESS=""))
            for n in range(3)
        ]
        assert len({server.debug_url for server in servers}) == 3
        for server in servers:
            assert request_with(server.debug_url).status == 200
            assert "cannot listen" not in server.log_text


def test_the_main_listener_works_if_the_debug_address_is_taken(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        with open_to_all(tmp_path, OUTRIDER_DEBUG_ADDRESS=taken) as server:
            assert server.debug_url == ""
            scrape(server.url)
            assert request_with(server.url).status == 403
            poll("the log names the cause", lambda: taken in server.log_text or None)


@pytest.mark.parametrize("main", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_the_debug_listener_uses_the_configured_address(tmp_path: Path, main: str, kind: str) -> None:
    # Ports that no other test takes once they are free.
    wanted = f"unix:{tmp_path}/debug.sock" if kind == "unix" else f"127.0.0.1:{reserved_port()}"
    address = f"{main}:{reserved_port()}"
    with Serving(tmp_path / "log", address, OUTRIDER_DEBUG_ADDRESS=wanted) as server:
        assert server.debug_url.startswith("unix:" if kind == "unix" else "http://127.0.0.1:")
        assert server.debug_url != server.url
        assert request_with(server.debug_url).status == 200
        scrape(server.url)
        server.stop_agent()
        # The debug listener has stopped with the main one.
        for address in (server.url, server.debug_url):
            with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
                request_with(address)


def test_a_debug_listener_reachable_from_other_machines_requires_the_token(
    tmp_path: Path, token: Path
) -> None:
    with open_to_all(tmp_path, OUTRIDER_DEBUG_ADDRESS="0.0.0.0:0") as server:
        assert request_with(server.debug_url).status == 403
    more = {"OUTRIDER_DEBUG_ADDRESS": "0.0.0.0:0", "OUTRIDER_DEBUG_TOKEN_FILE": str(token)}
    with open_to_all(tmp_path, **more) as server:
        assert request_with(server.debug_url).status == 401
        assert request_with(server.debug_url, f"Bearer {TOKEN}").status == 200
