# SPDX-License-Identifier: Apache-2.0
"""A proxy on the agent's machine that forwards every request does not expose /debug unless that is
configured."""

import contextlib
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness import poll
from raw import Response, send_request
from reverse_proxies import haproxy, nginx, python
from runtime_lab import RuntimeLab
from serving import Serving

pytestmark = pytest.mark.wait

Proxy = Callable[[str, Path], AbstractContextManager[str]]
TOKEN = "open-sesame"


def with_directives(*directives: str) -> Proxy:
    """An nginx with directives in addition to `proxy_pass`."""
    return lambda target, folder: nginx(target, folder, "\n".join(f"{one};" for one in directives))


PROXIES: dict[str, Proxy] = {
    "nginx": nginx,
    "nginx that passes Host": with_directives("proxy_set_header Host $host"),
    "nginx with keep-alive": with_directives("proxy_http_version 1.1", 'proxy_set_header Connection ""'),
    "haproxy": haproxy,
    "a proxy that adds nothing": lambda target, _: python(target),
    "a proxy that sets Host": lambda target, _: python(target, lambda fields: fields | {"Host": target}),
}
"""Proxies whose requests look like those of a local client, at least for some values of Host."""
MARKED: dict[str, Proxy] = {
    "nginx, X-Forwarded-For": with_directives("proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for"),
    "nginx, X-Real-IP": with_directives("proxy_set_header X-Real-IP $remote_addr"),
    "nginx, Forwarded": with_directives('proxy_set_header Forwarded "for=$remote_addr"'),
    "nginx, Via": with_directives('proxy_set_header Via "1.1 nginx"'),
    "haproxy, forwardfor": lambda target, folder: haproxy(target, folder, "option forwardfor"),
    "like Envoy": lambda target, _: python(
        target, lambda fields: fields | {"x-forwarded-proto": "http", "x-request-id": "1", "x-envoy-expected-rq-timeout-ms": "15000"}
    ),
    "like kubectl proxy": lambda target, _: python(
        target, lambda fields: fields | {"Host": target, "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Uri": "/", "Accept-Encoding": "gzip"}
    ),
}
PATHS = ["/debug", "/debug/", "/debug/stalls", "/debug/pprof/", "/debug/pprof/heap", "/%64ebug/stalls", "/debug/nothing"]
HOSTS = ["shop.example", "localhost", "127.0.0.1", "127.0.0.1:9464"]
FUNCTION = "blockMainActor"


def through(address: str, path: str, host: str = "shop.example", *fields: str) -> Response:
    """The response to a request sent through the proxy."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *fields, "", ""]
    return send_request(address, "\r\n".join(lines).encode("ascii"))


@contextlib.contextmanager
def behind(proxy: Proxy, url: str, folder: Path) -> Iterator[str]:
    """The address of a proxy in front of an agent."""
    with proxy(url.removeprefix("http://"), folder) as address:
        yield address


@pytest.fixture(scope="module", name="lab")
def fixture_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeLab]:
    """An agent with default settings, which has recorded a stall with the name of the blocking
    function."""
    with RuntimeLab(log=tmp_path_factory.mktemp("lab") / "log", OUTRIDER_DEBUG_ADDRESS="") as lab:
        landing = through(lab.url, "/").body.decode()
        links: list[str] = re.findall(r'href="(http://127\.0\.0\.1:\d+)/"', landing)
        debug = links[0] if links else lab.url
        # A busy machine may not run the blocked thread while the hang watch waits for its stack.
        for _ in range(10):
            lab.do("block-main 0")
            poll("a stall is reported", lambda: b"has not responded" in through(debug, "/debug/stalls", "localhost").body or None)
            named = FUNCTION.encode() in through(debug, "/", "localhost").body
            lab.do("unblock")
            if named:
                break
        else:
            raise AssertionError("the landing page for operators never named the function")
        yield lab


@pytest.mark.parametrize("proxy", PROXIES.values(), ids=PROXIES)
def test_no_proxy_reaches_debug_of_a_default_agent(proxy: Proxy, lab: RuntimeLab, tmp_path: Path) -> None:
    with behind(proxy, lab.url, tmp_path) as address:
        for host in HOSTS:
            for path in PATHS:
                response = through(address, path, host)
                assert response.status == 403, (host, path)
                assert FUNCTION.encode() not in response.body
            landing = through(address, "/", host)
            assert landing.status == 200 and FUNCTION.encode() not in landing.body
            scrape = through(address, "/metrics", host)
            assert scrape.status == 200 and b"\noutrider_build_info" in scrape.body
        assert through(address, "/readyz").status == 200


@pytest.mark.parametrize("proxy", (PROXIES | MARKED).values(), ids=PROXIES | MARKED)
def test_with_a_token_every_proxy_reaches_debug_with_it_and_none_without(proxy: Proxy, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    more = {"OUTRIDER_DEBUG_ADDRESS": "", "OUTRIDER_DEBUG_TOKEN_FILE": str(token)}
    with Serving(tmp_path / "agent.log", **more) as server:
        for url in (server.url, server.debug_url):
            with behind(proxy, url, tmp_path) as address:
                for host in HOSTS:
                    assert through(address, "/debug/probe", host).status == 401
                    assert through(address, "/debug/probe", host, "Authorization: Bearer wrong").status == 401
                    response = through(address, "/debug/probe", host, f"Authorization: Bearer {TOKEN}")
                    assert (response.status, response.body) == (200, b"debug\n")


@pytest.mark.parametrize("proxy", MARKED.values(), ids=MARKED)
def test_a_proxy_that_marks_its_requests_never_reaches_debug(proxy: Proxy, tmp_path: Path) -> None:
    with (
        Serving(tmp_path / "shared.log", OUTRIDER_DEBUG_ADDRESS="shared") as shared,
        Serving(tmp_path / "default.log", OUTRIDER_DEBUG_ADDRESS="") as default,
    ):
        for url in (shared.url, default.url, default.debug_url):
            with behind(proxy, url, tmp_path) as address:
                for host in HOSTS:
                    assert through(address, "/debug/probe", host).status == 403
        with behind(proxy, shared.url, tmp_path) as address:
            assert through(address, "/metrics").status == 200


def test_a_shared_address_exposes_debug_through_a_proxy_that_only_sets_Host(tmp_path: Path) -> None:
    """`shared` exposes /debug, as documented; this also proves that the proxies above do forward
    it."""
    with Serving(tmp_path / "log", OUTRIDER_DEBUG_ADDRESS="shared") as server:
        with behind(nginx, server.url, tmp_path) as address:
            assert through(address, "/debug/probe").body == b"debug\n"
