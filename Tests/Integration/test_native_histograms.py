# SPDX-License-Identifier: Apache-2.0
"""Real Prometheus servers scrape native histograms of an agent, and quantiles are within the error
of their schema."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from harness import poll
from probe_programs import ServingProbe
from prometheus_releases import Release
from prometheus_server import Prometheus

pytestmark = pytest.mark.wait

DURATIONS = "probe_duration_seconds"
OBSERVED = {0.1: 0.05, 0.5: 0.2, 0.95: 3.0}
"""The probe's observations in each recording, by a quantile that falls into their bucket."""
RECORDS = 20
"""Recordings of a probe before the first scrape, not counting the one at its start."""
GROWTH = 2 ** (1 / 8)
"""The ratio of adjacent bounds at the default growth factor, 1.1."""


@dataclass(frozen=True)
class Scraped:
    """A server that scrapes native histograms, and the agents that it scrapes."""

    server: Prometheus
    probes: dict[str, ServingProbe]
    recorded: dict[str, int]
    """The number of recordings of each agent."""

    def value(self, query: str) -> float:
        """The value of a query with one sample."""
        (sample,) = self.server.await_samples(query)
        return float(sample["value"][1])

    def record(self, kind: str) -> None:
        """Makes an agent record again."""
        self.probes[kind].record()
        self.recorded[kind] += 1


def native_flags(prometheus_release: Release) -> tuple[list[str], dict[str, Any]]:
    """The flag or job option that makes a server request native histograms."""
    if prometheus_release.knows("scrape_native_histograms"):
        return [], {"scrape_native_histograms": True}
    return ["native-histograms"], {}


@pytest.fixture(scope="module", name="scraped")
def fixture_scraped(
    prometheus_release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scraped]:
    """A server of each release, with one agent that exposes native histograms only and one that
    exposes both kinds."""
    features, option = native_flags(prometheus_release)
    flags = [f"--enable-feature={','.join(['exemplar-storage', *features])}"]
    with (
        ServingProbe(OUTRIDER_HISTOGRAMS="native") as alone,
        ServingProbe(OUTRIDER_HISTOGRAMS="both") as both,
    ):
        probes = {"native": alone, "both": both}
        for probe in probes.values():
            for _ in range(RECORDS):
                probe.record()
        targets = {name: f"{probe.target}/metrics" for name, probe in probes.items()}
        with Prometheus(
            tmp_path_factory.mktemp("native"),
            targets,
            of=prometheus_release,
            flags=flags,
            options={name: option for name in targets},
        ) as server:
            # Each agent records once at its start.
            yield Scraped(server, probes, dict.fromkeys(probes, 1 + RECORDS))


@pytest.mark.parametrize("kind", ["native", "both"])
@pytest.mark.parametrize("quantile", OBSERVED)
def test_a_quantile_is_within_the_error_of_the_schema(
    scraped: Scraped, kind: str, quantile: float
) -> None:
    found = scraped.value(f'histogram_quantile({quantile}, {DURATIONS}{{job="{kind}"}})')
    observed = OBSERVED[quantile]
    assert observed / GROWTH <= found <= observed * GROWTH


@pytest.mark.parametrize("kind", ["native", "both"])
def test_count_and_sum_match_the_observations(scraped: Scraped, kind: str) -> None:
    times = scraped.recorded[kind]
    of_kind = f'{DURATIONS}{{job="{kind}"}}'
    scraped.value(f"histogram_count({of_kind}) == {len(OBSERVED) * times}")
    total = scraped.value(f"histogram_sum({of_kind})")
    assert total == pytest.approx(sum(OBSERVED.values()) * times)


@pytest.mark.parametrize("kind", ["native", "both"])
def test_native_histograms_have_exemplars(scraped: Scraped, kind: str) -> None:
    def attempt() -> bool | None:
        scraped.record(kind)
        found = scraped.server.api(
            "query_exemplars", query=f'{DURATIONS}{{job="{kind}"}}', start="0", end="9999999999"
        )
        return any(one["exemplars"] for one in found) or None

    poll("an exemplar of a histogram arrives", attempt)


def test_a_counter_keeps_its_name_and_grows(scraped: Scraped) -> None:
    query = 'probe_requests_total{job="both",route="/a"}'
    first = scraped.value(query)
    scraped.record("both")
    assert scraped.value(f"{query} > {first}") > first


def test_the_agents_own_histograms_are_native_too(scraped: Scraped) -> None:
    scrapes = 'histogram_count(outrider_scrape_duration_seconds{job="both"})'
    assert scraped.value(f"{scrapes} > 0") >= 1
