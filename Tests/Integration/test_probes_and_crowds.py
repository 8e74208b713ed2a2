# SPDX-License-Identifier: Apache-2.0
"""Probes and scrapes of one address succeed within their timeout, whatever another address does to
the port.

A probe acts as kubelet's: a new connection each time, with one limit for all of it. The limit
matters, since exceeding it restarts containers; on a busy machine, a control agent without a crowd
shows how long a probe takes anyway. These tests run alone: a crowd uses all the CPU that it can
get, and other tests would take it from the agent.
"""

import re
import statistics
import time
from pathlib import Path

import pytest

from client_crowd import KINDS, crowd
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
"""Refusals during the CPU measurement: some seconds, since each comes after a quarter of a
second."""
AT_ONCE = 3
"""Seconds of CPU time: more than an address may use at once."""
REFUSED = re.compile(rb'outrider_http_requests_total\{code="429",page="/metrics"\} ([0-9]+)')
SLOWER = 10
"""The factor allowed for a probe on a slow machine, relative to one without a crowd."""
CROWD_SHARE = 0.9
"""Cores that a crowd's requests may take from the service: the budget is a quarter for each page,
and the rest is for uncounted work such as accepting and refusing."""


def seconds_of(server: Serving, path: str, source: str) -> float:
    """The duration of a request with status 200."""
    start = time.monotonic()
    with Client(server.url, source=source) as client:
        response = client.exchange(get(path, "Connection: close"), seconds=SECONDS)
    assert response.status == 200, f"{path} got status {response.status}"
    return time.monotonic() - start


def longest_run_of_failures(values: list[bool]) -> int:
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
            assert longest_run_of_failures(passed) < probe["failureThreshold"], (name, times, alone)


def test_scrapers_without_a_pause_do_not_use_up_the_cpus(tmp_path: Path) -> None:
    def ticks(server: Serving) -> float:
        fields = (server.proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    with Serving(tmp_path / "log", PROBE_SERIES="20000") as server:
        scrape(server.url)
        with crowd(server.url, "differing scrapes"):
            # They use up what an address may take at once, unless the machine is so busy that they
            # never get it.
            before = ticks(server)
            first = poll("the scrapers use their budget", lambda: refusals(server) or int(ticks(server) - before > AT_ONCE), SECONDS)
            start, before = time.monotonic(), ticks(server)
            poll(
                "the scrapers use more CPU time, or are refused more often",
                lambda: refusals(server) >= first + MANY or ticks(server) - before > AT_ONCE or None,
                SECONDS,
            )
            share = (ticks(server) - before) / (time.monotonic() - start)
            assert share < CROWD_SHARE
            # Another address is still served.
            assert b"outrider_build_info" in scrape_bytes(server)


def scrape_bytes(server: Serving, query: str = "") -> bytes:
    """A scrape from its own address."""
    with Client(server.url, source=SCRAPER) as client:
        response = client.exchange(get(f"/metrics{query}", "Connection: close"))
    assert response.status == 200
    return response.body


def refusals(server: Serving) -> int:
    """The number of refused scrapes so far, by a cheap scrape."""
    found = REFUSED.search(scrape_bytes(server, "?name[]=outrider_http_requests_total"))
    return int(found[1]) if found else 0
