# SPDX-License-Identifier: Apache-2.0
"""Access control: metrics are open to every scraper, and /debug only to permitted clients."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import poll
from raw import Response, Client, send_request, get
from serving import Serving

pytestmark = pytest.mark.wait

PAGE = "/debug/probe"
HOSTS = "a.example,b.example"
ALLOWED_HOSTS = [
    *("localhost", "LocalHost", "localhost:9464", "127.0.0.1", "127.0.0.1:1", "127.9.9.9"),
    *("[::1]", "[::1]:9464", "10.1.2.3:80", "[2001:db8::1]:80", "0.0.0.0"),
    *("a.example", "a.example:81", "A.Example", "b.example"),
]
FORBIDDEN_HOSTS = [
    *("evil.example", "evil.example:9464", "c.example", "example", "localhost.evil.example"),
    *("a.example.evil.example", "evil-a.example", "xa.example", "127.0.0.1.evil.example"),
    *("2130706433", "127.1", "0x7f.0.0.1", "127.0.0.1x", "localhostx", "1.2.3.4.5", "256.0.0.1"),
    *("a.example,b.example", "notlocalhost", "probe"),
]
CROSS_SITE_FIELDS = [
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
    """A request with this Host; without one it is HTTP/1.0."""
    lines = [f"{method} {path} HTTP/1.{0 if host is None else 1}"]
    lines += [f"Host: {host}"] if host is not None else []
    return "\r\n".join([*lines, *fields, "", ""]).encode("latin-1")


@pytest.fixture(scope="module", params=["tcp", "unix", "second"])
def debug(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """An address where only this machine reaches /debug."""
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


@pytest.mark.parametrize("host", ALLOWED_HOSTS)
def test_debug_is_served_for_an_allowed_host(debug: str, host: str) -> None:
    response = send_request(debug, get_as(host))
    assert (response.status, response.body) == (200, b"debug\n")


@pytest.mark.parametrize("host", [*FORBIDDEN_HOSTS, "", None])
def test_debug_is_forbidden_for_any_other_host(debug: str, host: str | None) -> None:
    # Some of them are not valid hosts, and are refused as such.
    allowed = (403,) if host in FORBIDDEN_HOSTS and "," not in host else (400, 403)
    for method in ("GET", "HEAD"):
        response = send_request(debug, get_as(host, method=method))
        assert response.status in allowed
        assert b"debug\n" != response.body


@pytest.mark.parametrize("fields", CROSS_SITE_FIELDS, ids=" + ".join)
def test_debug_is_forbidden_for_another_site(debug: str, fields: list[str]) -> None:
    assert send_request(debug, get_as("localhost", PAGE, *fields)).status == 403


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_debug_is_served_for_direct_and_same_origin_navigation(
    debug: str, site: str
) -> None:
    assert send_request(debug, get_as("localhost", PAGE, f"Sec-Fetch-Site: {site}")).status == 200


@pytest.mark.parametrize(
    "path", ["/%64ebug/probe", "/debug%2Fprobe", "/%64%65%62%75%67/%70robe", "/debug/probe?a=b"]
)
def test_an_encoded_path_does_not_bypass_access_control(debug: str, path: str) -> None:
    assert send_request(debug, get_as("evil.example", path)).status == 403


@pytest.mark.parametrize("path", ["/debug/nothing", "/debug/pprof/heap", "/debug/probe/"])
def test_forbidden_clients_get_403_for_existing_and_missing_debug_pages(debug: str, path: str) -> None:
    assert send_request(debug, get_as("evil.example", path)).status == 403
    assert send_request(debug, get_as("localhost", path)).status == 404


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
def test_other_pages_are_served_for_any_host(server: Serving, path: str) -> None:
    for host in (*ALLOWED_HOSTS, *FORBIDDEN_HOSTS):
        if "," not in host:
            assert send_request(server.url, get_as(host, path)).status == 200
    for fields in CROSS_SITE_FIELDS:
        assert send_request(server.url, get_as("evil.example", path, *fields)).status == 200


def assert_hardened(response: Response) -> None:
    """Checks that the response keeps a browser from running or embedding it."""
    assert response.value("x-content-type-options") == "nosniff"
    policy = [part.strip() for part in response.value("content-security-policy").split(";")]
    assert "default-src 'none'" in policy
    assert not re.search(r"'unsafe|\*|https?:", response.value("content-security-policy"))
    assert not [name for name, _ in response.fields if name.startswith("access-control-")]


# Responses of the library itself, such as to a line that exceeds its memory, lack our header
# fields.
RESPONSES = {
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


@pytest.mark.parametrize("name", RESPONSES)
def test_every_response_is_hardened(server: Serving, name: str) -> None:
    status, request = RESPONSES[name]
    response = send_request(server.url, request)
    assert response.status == status
    assert_hardened(response)


def test_a_response_of_a_draining_agent_is_hardened(tmp_path: Path) -> None:
    with Serving(tmp_path / "log") as server:
        assert server.command("drain") == "ok"
        response = send_request(server.url, get("/readyz"))
        assert response.status == 503
        assert_hardened(response)


def warnings(server: Serving) -> list[str]:
    """Its log lines about Kubernetes."""
    return [line for line in server.log_text.splitlines() if re.search("(?i)kubernetes|kubelet", line)]


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
            poll("the warning is logged", lambda: warnings(server) or None)
            assert "OUTRIDER_ADDRESS" in warnings(server)[0]
        server.stop_agent()
    assert len(warnings(server)) == count, server.log_text


def test_outside_Kubernetes_there_is_no_warning(server: Serving) -> None:
    with Client(server.url) as client:
        assert client.exchange(get()).status == 200
    assert not warnings(server)
