# SPDX-License-Identifier: Apache-2.0
"""Real Prometheus servers take native histograms from an agent, and answer with the error of their schema."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from harness import poll
from probing import ServingProbe
from prometheus_releases import Release
from prometheus_server import Prometheus

pytestmark = pytest.mark.wait

DURATIONS = "probe_duration_seconds"
OBSERVED = {0.1: 0.05, 0.5: 0.2, 0.95: 3.0}
"""What the probe observes each time that it records, by a quantile that falls there."""
RECORDS = 20
"""How often a probe records before the first scrape, beside the once with which it starts."""
GROWTH = 2 ** (1 / 8)
"""From one bound to the next at the default growth factor, 1.1."""


@dataclass(frozen=True)
class Scraped:
    """A server that asks for native histograms, and whom it asks."""

    server: Prometheus
    probes: dict[str, ServingProbe]
    recorded: dict[str, int]
    """How often each of them has recorded."""

    def value(self, query: str) -> float:
        """The value of a query with one sample."""
        (sample,) = self.server.await_samples(query)
        return float(sample["value"][1])

    def record(self, form: str) -> None:
        """Has an agent record once more."""
        self.probes[form].record()
        self.recorded[form] += 1


def native_flags(prometheus_release: Release) -> tuple[list[str], dict[str, Any]]:
    """How a server is told to ask for native histograms: a flag, an option of a job."""
    if prometheus_release.knows("scrape_native_histograms"):
        return [], {"scrape_native_histograms": True}
    return ["native-histograms"], {}


@pytest.fixture(scope="module", name="scraped")
def fixture_scraped(
    prometheus_release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scraped]:
    """A server of each release beside agents with native histograms alone, and with both."""
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
        places = {name: f"{probe.target}/metrics" for name, probe in probes.items()}
        with Prometheus(
            tmp_path_factory.mktemp("native"),
            places,
            of=prometheus_release,
            flags=flags,
            options={name: option for name in places},
        ) as server:
            # Each has recorded once when it has started.
            yield Scraped(server, probes, dict.fromkeys(probes, 1 + RECORDS))


@pytest.mark.parametrize("form", ["native", "both"])
@pytest.mark.parametrize("quantile", OBSERVED)
def test_a_quantile_is_within_the_error_of_the_schema(
    scraped: Scraped, form: str, quantile: float
) -> None:
    found = scraped.value(f'histogram_quantile({quantile}, {DURATIONS}{{job="{form}"}})')
    observed = OBSERVED[quantile]
    assert observed / GROWTH <= found <= observed * GROWTH


@pytest.mark.parametrize("form", ["native", "both"])
def test_count_and_sum_are_those_of_the_observations(scraped: Scraped, form: str) -> None:
    times = scraped.recorded[form]
    of_form = f'{DURATIONS}{{job="{form}"}}'
    scraped.value(f"histogram_count({of_form}) == {len(OBSERVED) * times}")
    total = scraped.value(f"histogram_sum({of_form})")
    assert total == pytest.approx(sum(OBSERVED.values()) * times)


@pytest.mark.parametrize("form", ["native", "both"])
def test_exemplars_arrive_with_them(scraped: Scraped, form: str) -> None:
    def attempt() -> bool | None:
        scraped.record(form)
        found = scraped.server.api(
            "query_exemplars", query=f'{DURATIONS}{{job="{form}"}}', start="0", end="9999999999"
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
