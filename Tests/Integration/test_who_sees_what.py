# SPDX-License-Identifier: Apache-2.0
"""Metrics are for every scraper; what is under /debug is for those who may see it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import poll
from raw import Answer, Client, ask, get
from serving import Serving

pytestmark = pytest.mark.wait

PAGE = "/debug/probe"
HOSTS = "a.example,b.example"
MAY = [
    *("localhost", "LocalHost", "localhost:9464", "127.0.0.1", "127.0.0.1:1", "127.9.9.9"),
    *("[::1]", "[::1]:9464", "10.1.2.3:80", "[2001:db8::1]:80", "0.0.0.0"),
    *("a.example", "a.example:81", "A.Example", "b.example"),
]
MAY_NOT = [
    *("evil.example", "evil.example:9464", "c.example", "example", "localhost.evil.example"),
    *("a.example.evil.example", "evil-a.example", "xa.example", "127.0.0.1.evil.example"),
    *("2130706433", "127.1", "0x7f.0.0.1", "127.0.0.1x", "localhostx", "1.2.3.4.5", "256.0.0.1"),
    *("a.example,b.example", "notlocalhost", "probe"),
]
EVIL_FIELDS = [
    ["Origin: http://evil.example"],
    ["Origin: null"],
    ["Origin:"],
    ["Origin: http://localhost"],
    ["origin: http://127.0.0.1:9464"],
    ["Sec-Fetch-Site: cross-site"],
    ["Sec-Fetch-Site: same-site"],
    ["Sec-Fetch-Site: whatever"],
    ["Sec-Fetch-Site:"],
    ["sec-fetch-site: CROSS-SITE"],
    ["Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"],
    ["Sec-Fetch-Site: same-origin", "Origin: http://localhost"],
]


def get_as(host: str | None, path: str = PAGE, *fields: str, method: str = "GET") -> bytes:
    """A request with a Host of its own; none at all makes it HTTP/1.0."""
    lines = [f"{method} {path} HTTP/1.{0 if host is None else 1}"]
    lines += [f"Host: {host}"] if host is not None else []
    return "\r\n".join([*lines, *fields, "", ""]).encode("latin-1")


@pytest.fixture(scope="module", params=["tcp", "unix", "second"])
def debug(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A place where only this machine reaches /debug."""
    folder = tmp_path_factory.mktemp("who")
    more = {"OUTRIDER_DEBUG_ADDRESS": "127.0.0.1:0"} if request.param == "second" else {}
    address = f"unix:{folder}/agent.sock" if request.param == "unix" else "127.0.0.1:0"
    with Serving(folder / "log", address, PROBE_HOSTS=HOSTS, **more) as server:
        yield server.debug_url if more else server.url


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """An agent on loopback."""
    with Serving(tmp_path_factory.mktemp("who") / "log", PROBE_HOSTS=HOSTS) as server:
        yield server


@pytest.mark.parametrize("host", MAY)
def test_debug_is_served_for_a_host_that_is_ours(debug: str, host: str) -> None:
    answer = ask(debug, get_as(host))
    assert (answer.status, answer.body) == (200, b"debug\n")


@pytest.mark.parametrize("host", [*MAY_NOT, "", None])
def test_debug_is_forbidden_for_any_other_host(debug: str, host: str | None) -> None:
    # Some of them are not even hosts, and are refused as such.
    allowed = (403,) if host in MAY_NOT and "," not in host else (400, 403)
    for method in ("GET", "HEAD"):
        answer = ask(debug, get_as(host, method=method))
        assert answer.status in allowed
        assert b"debug\n" != answer.body


@pytest.mark.parametrize("fields", EVIL_FIELDS, ids=" + ".join)
def test_debug_is_forbidden_for_another_site(debug: str, fields: list[str]) -> None:
    assert ask(debug, get_as("localhost", PAGE, *fields)).status == 403


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_debug_is_served_for_a_browser_that_was_sent_there_by_its_user(
    debug: str, site: str
) -> None:
    assert ask(debug, get_as("localhost", PAGE, f"Sec-Fetch-Site: {site}")).status == 200


@pytest.mark.parametrize(
    "path", ["/%64ebug/probe", "/debug%2Fprobe", "/%64%65%62%75%67/%70robe", "/debug/probe?a=b"]
)
def test_another_way_to_write_a_path_is_no_way_around(debug: str, path: str) -> None:
    assert ask(debug, get_as("evil.example", path)).status == 403


@pytest.mark.parametrize("path", ["/debug/nothing", "/debug/pprof/heap", "/debug/probe/"])
def test_what_is_under_debug_is_not_told_to_others(debug: str, path: str) -> None:
    assert ask(debug, get_as("evil.example", path)).status == 403
    assert ask(debug, get_as("localhost", path)).status == 404


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
def test_what_is_not_debug_is_served_for_any_host(server: Serving, path: str) -> None:
    for host in (*MAY, *MAY_NOT):
        if "," not in host:
            assert ask(server.url, get_as(host, path)).status == 200
    for fields in EVIL_FIELDS:
        assert ask(server.url, get_as("evil.example", path, *fields)).status == 200


def assert_hardened(answer: Answer) -> None:
    """A browser that has this answer does nothing with it but show it."""
    assert answer.value("x-content-type-options") == "nosniff"
    policy = [part.strip() for part in answer.value("content-security-policy").split(";")]
    assert "default-src 'none'" in policy
    assert not re.search(r"'unsafe|\*|https?:", answer.value("content-security-policy"))
    assert not [name for name, _ in answer.fields if name.startswith("access-control-")]


# What the library refuses by itself, as a line beyond its memory, has no fields of ours.
ANSWERS = {
    "metrics": (200, get("/metrics")),
    "landing": (200, get("/")),
    "health": (200, get("/healthz")),
    "debug": (200, get(PAGE)),
    "HEAD": (200, get("/metrics", method="HEAD")),
    "another-site": (200, get("/metrics", "Origin: http://evil.example")),
    "not-found": (404, get("/nothing")),
    "forbidden": (403, get_as("evil.example")),
    "method": (405, get("/metrics", method="POST")),
    "preflight": (405, get("/metrics", "Origin: http://evil.example", method="OPTIONS")),
    "malformed": (400, get("/a//b")),
    "field": (400, get("/metrics", "X A: b")),
    "arguments": (414, get("/metrics?" + "&" * 200)),
    "fields": (431, get("/metrics", *["a: b"] * 200)),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_is_hardened(server: Serving, name: str) -> None:
    status, request = ANSWERS[name]
    answer = ask(server.url, request)
    assert answer.status == status
    assert_hardened(answer)


def test_an_answer_of_an_agent_that_drains_is_hardened(tmp_path: Path) -> None:
    with Serving(tmp_path / "log") as server:
        assert server.tell("drain") == "ok"
        answer = ask(server.url, get("/readyz"))
        assert answer.status == 503
        assert_hardened(answer)


def warnings(server: Serving) -> list[str]:
    """What it has said about Kubernetes."""
    return [line for line in server.said.splitlines() if re.search("(?i)kubernetes|kubelet", line)]


@pytest.mark.parametrize(
    ("address", "count"),
    [("127.0.0.1:0", 1), ("[::1]:0", 1), ("0.0.0.0:0", 0), ("unix", 0)],
)
def test_in_Kubernetes_a_loopback_address_is_warned_about_once(
    tmp_path: Path, address: str, count: int
) -> None:
    address = f"unix:{tmp_path}/agent.sock" if address == "unix" else address
    with Serving(
        tmp_path / "log",
        address,
        KUBERNETES_SERVICE_HOST="10.0.0.1",
        KUBERNETES_SERVICE_PORT="443",
        OUTRIDER_DEBUG_ADDRESS=f"unix:{tmp_path}/debug.sock",
    ) as server:
        if count:
            poll("it warns", lambda: warnings(server) or None)
            assert "OUTRIDER_ADDRESS" in warnings(server)[0]
        server.stop_agent()
    assert len(warnings(server)) == count, server.said


def test_elsewhere_nobody_is_warned(server: Serving) -> None:
    with Client(server.url) as client:
        assert client.ask(get()).status == 200
    assert not warnings(server)
