# SPDX-License-Identifier: Apache-2.0
"""A process with little memory survives the worst label values, and scrapers that send different
requests and read slowly."""

import resource
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from raw import Client, get
from runtime_lab import memory_limit
from serving import Serving

pytestmark = pytest.mark.wait

SERIES, VALUE_BYTES = 10_000, 8_000
SCRAPERS = 16
GROUP_BYTES = 256 << 20
ADDRESS_BYTES = 600 << 20
"""Address space allowed beyond that at the start; thread stacks count in full."""
FEW_ARENAS = {"MALLOC_ARENA_MAX": "4"}
"""Limits malloc's arenas: each takes 64 MiB of addresses, and their number depends on the scheduler
(mallopt(3))."""
FEW_BYTES = 4 << 20
"""Less than the exposition needs."""
WINDOW = 4_096


@contextmanager
def address_space(server: Serving) -> Iterator[None]:
    """Limits the address space, as `ulimit -v` does."""
    pages = int((server.proc / "statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ADDRESS_BYTES
    resource.prlimit(server.popen.pid, resource.RLIMIT_AS, (limit, limit))
    yield


def limited(server: Serving, kind: str) -> AbstractContextManager[object]:
    """Applies a limit of this kind from now on."""
    if kind == "ulimit -v":
        return address_space(server)
    return memory_limit(server.popen.pid, GROUP_BYTES)


@pytest.mark.parametrize("kind", ["ulimit -v", "control group"])
def test_the_worst_label_values_and_differing_scrapers_do_not_end_the_process(tmp_path: Path, kind: str) -> None:
    environment = FEW_ARENAS if kind == "ulimit -v" else {}
    with Serving(tmp_path / "log", **environment) as server, ExitStack() as stack:
        try:
            stack.enter_context(limited(server, kind))
        except OSError as error:
            pytest.skip(f"NEEDS ITS OWN CONTROL GROUP: {error}")
        assert server.command(f"fill {SERIES} {VALUE_BYTES}") == "ok"
        # Each sends a different request, and reads hardly any of the response.
        for number in range(SCRAPERS):
            client = stack.enter_context(Client(server.url, window=WINDOW, source="127.0.0.2"))
            client.send(get(f"/metrics?name[]=probe_long_seconds&name[]=n{number}"))
        with Client(server.url, source="127.0.0.3") as scraper:
            response = scraper.exchange(get("/metrics", "Connection: close"))
        assert response.status == 200
        assert b"_OVERFLOW" in response.body
        # Others, with different requests as well, read everything.
        for number in range(SCRAPERS):
            with Client(server.url, source=f"127.0.1.{number + 1}") as client:
                request = get(f"/metrics?name[]=probe_long_seconds&name[]=m{number}", "Connection: close")
                assert client.exchange(request).status in (200, 429, 503)
        assert server.command("record") == "ok"


def test_a_scrape_without_memory_gets_503_and_a_later_one_succeeds(tmp_path: Path) -> None:
    with Serving(tmp_path / "log") as server, Client(server.url) as client:
        assert server.command(f"fill {SERIES} {VALUE_BYTES}") == "ok"
        # The connection's thread exists before the limit.
        assert client.exchange(get("/metrics?name[]=probe_requests_total")).status == 200
        before = resource.prlimit(server.popen.pid, resource.RLIMIT_AS)
        pages = int((server.proc / "statm").read_text().split()[0])
        resource.prlimit(server.popen.pid, resource.RLIMIT_AS, (pages * resource.getpagesize() + FEW_BYTES, before[1]))
        refusal = client.exchange(get("/metrics"))
        resource.prlimit(server.popen.pid, resource.RLIMIT_AS, before)
        assert (refusal.status, refusal.body) == (503, b"Out of memory for the exposition.\n")
        assert refusal.value("retry-after") == "1"
        response = client.exchange(get("/metrics"))
        assert response.status == 200
        assert b'outrider_http_requests_total{code="503",page="/metrics"} 1' in response.body
