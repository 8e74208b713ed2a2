# SPDX-License-Identifier: Apache-2.0
"""Whatever one address does to the port, probes and scrapes from another one are answered at once.

A probe is what kubelet does: a new connection for each, and a limit for all of it. The limit is a fact that counts
here, as it ends containers; on a busy machine a control agent without a crowd tells how long a probe takes anyway.
They run alone: a crowd takes all the processor that it can get, and other tests would take it from the agent.
"""

import re
import statistics
import time
from pathlib import Path

import pytest

from crowding import KINDS, crowd
from harness import poll
from manifests import of_kind
from raw import SECONDS, Client, get
from serving import Serving, scrape

pytestmark = pytest.mark.measure

PROBER = "127.0.0.9"
SCRAPER = "127.0.0.10"
PROBES = {
    name: probe
    for name, probe in of_kind("Deployment")["spec"]["template"]["spec"]["containers"][0].items()
    if name in ("livenessProbe", "readinessProbe")
}
ROUNDS = 8
MANY = 100
"""Refusals in which the processor time is measured: some seconds, as each comes after a quarter of one."""
AT_ONCE = 3
"""Seconds of processor time: more than an address may take at once."""
REFUSED = re.compile(rb'outrider_http_requests_total\{code="429",page="/metrics"\} ([0-9]+)')
SLOWER = 10
"""How many times as long as without a crowd a probe may take on a slow machine."""
CROWD_SHARE = 0.9
"""Processors that the requests of a crowd may take from the service: its budget is a quarter for each page, and this
is for what is not counted, such as accepting and refusing."""


def seconds_of(server: Serving, path: str, source: str) -> float:
    """How long one takes that is answered with 200."""
    start = time.monotonic()
    with Client(server.url, source=source) as client:
        answer = client.ask(get(path, "Connection: close"), seconds=SECONDS)
    assert answer.status == 200, f"{path} was answered with {answer.status}"
    return time.monotonic() - start


def in_a_row(values: list[bool]) -> int:
    """The longest run of failures."""
    longest = run = 0
    for passed in values:
        run = 0 if passed else run + 1
        longest = max(longest, run)
    return longest


@pytest.mark.parametrize("kind", KINDS)
def test_probes_and_scrapes_from_another_address_get_through(tmp_path: Path, kind: str) -> None:
    with Serving(tmp_path / "log") as server, Serving(tmp_path / "control") as control:
        for path in ("/metrics", "/healthz", "/readyz"):
            seconds_of(server, path, PROBER)
        with crowd(server.url, kind):
            times: dict[str, list[float]] = {path: [] for path in ("/healthz", "/readyz", "/metrics")}
            alone: list[float] = []
            for _ in range(ROUNDS):
                for path, found in times.items():
                    found.append(seconds_of(server, path, SCRAPER if path == "/metrics" else PROBER))
                    alone.append(seconds_of(control, path, PROBER))
        usual = SLOWER * statistics.median(alone)
        for path, found in times.items():
            assert statistics.median(found) < max(1.0, usual), (path, found, alone)
        for name, probe in PROBES.items():
            limit = max(probe["timeoutSeconds"], usual)
            passed = [seconds < limit for seconds in times[probe["httpGet"]["path"]]]
            assert in_a_row(passed) < probe["failureThreshold"], (name, times, alone)


def test_scrapers_that_ask_all_the_time_do_not_take_the_processors(tmp_path: Path) -> None:
    def ticks(server: Serving) -> float:
        fields = (server.proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    with Serving(tmp_path / "log", PROBE_SERIES="20000") as server:
        scrape(server.url)
        with crowd(server.url, "differing scrapes"):
            # They have what an address may take at once, or the machine is so busy that they never get it.
            before = ticks(server)
            first = poll("they take their share", lambda: refusals(server) or int(ticks(server) - before > AT_ONCE), SECONDS)
            start, before = time.monotonic(), ticks(server)
            poll(
                "they take more, or are refused more",
                lambda: refusals(server) >= first + MANY or ticks(server) - before > AT_ONCE or None,
                SECONDS,
            )
            share = (ticks(server) - before) / (time.monotonic() - start)
            assert share < CROWD_SHARE
            # Somebody else has what they want meanwhile.
            assert b"outrider_build_info" in scrape_bytes(server)


def scrape_bytes(server: Serving, query: str = "") -> bytes:
    """A scrape from an address of its own."""
    with Client(server.url, source=SCRAPER) as client:
        answer = client.ask(get(f"/metrics{query}", "Connection: close"))
    assert answer.status == 200
    return answer.body


def refusals(server: Serving) -> int:
    """How many scrapes were refused so far, by a scrape that costs little."""
    found = REFUSED.search(scrape_bytes(server, "?name[]=outrider_http_requests_total"))
    return int(found[1]) if found else 0
