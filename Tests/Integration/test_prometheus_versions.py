# SPDX-License-Identifier: Apache-2.0
"""Every installed Prometheus scrapes every format, compressed and uncompressed, and loses no
sample."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from accept_headers import ESCAPINGS
from exposition import OPENMETRICS, TEXT, TEXT_1, sample_lines
from harness import fetch, poll
from probe_programs import ServingProbe
from prometheus_releases import Release
from prometheus_server import Prometheus
from recording_proxy import Exchange, RecordingProxy

pytestmark = pytest.mark.wait

FILLER = 200
# A second leaves time for the proxy on a machine that is busy with other tests.
INTERVAL = 1
"""Scrape interval and timeout, in seconds."""


@dataclass(frozen=True)
class Job:
    """A scrape configuration, with the expected `Content-Type` and compression."""

    content_type: str
    compressed: bool
    protocol: str | None = None
    """The configured scrape protocol; the server's default if None."""
    accept: str | None = None
    """The `Accept` header imposed on a server without that option."""

    def options(self, release: Release) -> dict[str, Any]:
        """The scrape options that this server knows."""
        wanted: dict[str, Any] = {}
        if self.protocol:
            wanted["scrape_protocols"] = [self.protocol]
        if not self.compressed:
            wanted["enable_compression"] = False
        return release.known(**wanted)

    def instead(self, release: Release) -> dict[str, str]:
        """Header fields that the proxy replaces for this server."""
        fields = {}
        if self.accept and not release.knows("scrape_protocols"):
            fields["Accept"] = self.accept
        if not self.compressed and not release.knows("enable_compression"):
            fields["Accept-Encoding"] = "identity"
        return fields


JOBS = {
    "own choice": Job(OPENMETRICS, compressed=True),
    "openmetrics, compressed": Job(OPENMETRICS, True, "OpenMetricsText1.0.0"),
    "openmetrics, plain": Job(OPENMETRICS, False, "OpenMetricsText1.0.0"),
    "text, compressed": Job(TEXT, True, "PrometheusText0.0.4", "text/plain;version=0.0.4"),
    "text, plain": Job(TEXT, False, "PrometheusText0.0.4", "text/plain;version=0.0.4"),
}
TEXT_1_JOBS = {"text 1.0.0, compressed": Job(TEXT_1, True, "PrometheusText1.0.0")}
each_job = pytest.mark.parametrize("name", JOBS)


class Scraped:
    """A Prometheus that scrapes one agent in every supported way, through a proxy for each."""

    def __init__(self, stack: ExitStack, release: Release, folder: Any, target: str) -> None:
        self.release = release
        self.jobs = dict(JOBS)
        if release.version >= (3, 0):
            self.jobs |= TEXT_1_JOBS
        schemes = ESCAPINGS if release.knows("metric_name_escaping_scheme") else []
        self.escapings = {f"escaping {scheme}": scheme for scheme in schemes}

        options = {name: job.options(release) for name, job in self.jobs.items()}
        for name, scheme in self.escapings.items():
            options[name] = {"metric_name_escaping_scheme": scheme}
        instead = {name: job.instead(release) for name, job in self.jobs.items()}
        self.proxies = {
            name: stack.enter_context(RecordingProxy(target, instead.get(name)))
            for name in options
        }
        targets = {name: f"{proxy.target}/metrics" for name, proxy in self.proxies.items()}
        self.server = stack.enter_context(
            Prometheus(folder, targets, of=release, options=options, interval=f"{INTERVAL}s")
        )

    def exchange(self, name: str) -> Exchange:
        """Waits for a scrape of a job, and returns the last exchange."""
        return poll(f"{name} is scraped", lambda: self.proxies[name].last)


@pytest.fixture(scope="module")
def scraped(
    prometheus_release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scraped]:
    """An agent and a Prometheus of each release."""
    with ExitStack() as stack:
        agent = stack.enter_context(ServingProbe(FILLER))
        folder = tmp_path_factory.mktemp("versions")
        yield Scraped(stack, prometheus_release, folder, agent.target)


@each_job
def test_each_format_is_scraped_as_configured(scraped: Scraped, name: str) -> None:
    check_format(scraped, name)


def test_the_text_format_1_0_0_is_scraped_by_servers_that_support_it(scraped: Scraped) -> None:
    names = scraped.jobs.keys() & TEXT_1_JOBS.keys()
    if not names:
        pytest.skip(f"{scraped.release} does not support it")
    for name in names:
        check_format(scraped, name)


def check_format(scraped: Scraped, name: str) -> None:
    """Checks that a job's last scrape was requested and answered as configured."""
    job = scraped.jobs[name]
    scraped.server.await_up(name)
    exchange = scraped.exchange(name)
    # From 3.0 on the server also requests an escaping scheme, which the response must name.
    shown, escaping = split_escaping(exchange.response.content_type)
    assert shown == job.content_type
    assert escaping == split_escaping(exchange.accept or "")[1]
    assert exchange.response.header("Content-Encoding") == ("gzip" if job.compressed else None)
    assert exchange.accept_encoding == ("gzip" if job.compressed else "identity")


def split_escaping(value: str) -> tuple[str, str | None]:
    """A field's value without the escaping at its end, and the first escaping in it."""
    found = re.search(r"escaping=([a-z0-9-]+)", value)
    return re.sub(r"; escaping=[a-z0-9-]+$", "", value), found[1] if found else None


def test_each_escaping_is_requested_and_confirmed(scraped: Scraped) -> None:
    if not scraped.escapings:
        pytest.skip(f"{scraped.release} has no option for escaping")
    for name, scheme in scraped.escapings.items():
        scraped.server.await_up(name)
        exchange = scraped.exchange(name)
        assert f"escaping={scheme}" in (exchange.accept or "")
        assert exchange.response.content_type == f"{OPENMETRICS}; escaping={scheme}"


def test_every_way_to_scrape_yields_the_same_number_of_samples(scraped: Scraped) -> None:
    def attempt() -> set[int] | None:
        shown = {}
        for name, proxy in scraped.proxies.items():
            samples = scraped.server.query(f'scrape_samples_scraped{{job="{name}"}}')
            if not samples or not proxy.last:
                return None
            shown[name] = int(samples[0]["value"][1])
            # A scrape may happen between the two, so they are compared until they agree.
            if shown[name] != len(sample_lines(proxy.last.response.text)):
                return None
        return set(shown.values()) if len(set(shown.values())) == 1 else None

    (number,) = poll("all jobs have scraped the same number of samples", attempt)
    assert number > FILLER


def test_every_way_to_scrape_yields_the_same_values(scraped: Scraped) -> None:
    for expression in ("probe_requests_total", "probe_duration_seconds_bucket", "probe_info"):
        seen = {}
        for name in scraped.proxies:
            samples = scraped.server.await_samples(f'{expression}{{job="{name}"}}')
            seen[name] = {
                frozenset((k, v) for k, v in one["metric"].items() if k not in ("job", "instance")):
                one["value"][1]
                for one in samples
            }
        assert seen["own choice"]
        assert all(one == seen["own choice"] for one in seen.values()), expression


def test_every_filler_series_is_stored(scraped: Scraped) -> None:
    for name in scraped.proxies:
        (sample,) = scraped.server.await_samples(f'count(probe_filler{{job="{name}"}})')
        assert sample["value"][1] == str(FILLER)


def test_no_scrape_fails_and_no_sample_is_rejected(scraped: Scraped) -> None:
    server = scraped.server
    for name in scraped.proxies:
        server.await_samples(f'sum_over_time(up{{job="{name}"}}[1h]) >= 3')
        assert server.failed_scrapes(f'job="{name}"', INTERVAL) == [], f"a scrape of {name} failed"
        assert set(scraped.proxies[name].statuses) == {200}
    lost = "scrape_samples_scraped - scrape_samples_post_metric_relabeling != 0"
    assert server.query(lost) == []
    for target in server.api("targets", state="active")["activeTargets"]:
        assert target["lastError"] == "" or "deadline exceeded" in target["lastError"]
    # The server's own counters of samples that are out of order, duplicate, out of bounds, and the
    # like.
    own = fetch(f"{server.url}/metrics").decode("utf-8")
    counted = re.findall(
        r"(?m)^(prometheus_target_scrapes_(?:sample|exemplar|exceeded)\w*_total) (\S+)$", own
    )
    assert len(counted) >= 4
    assert [name for name, value in counted if float(value) != 0] == []
