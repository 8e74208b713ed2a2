# SPDX-License-Identifier: Apache-2.0
"""Hostile values in OpenMetrics: none loses a scrape, in any release of Prometheus."""

import math
from collections.abc import Iterator

import pytest

from exposition import ASKS_OPENMETRICS, Exposition
from hostile_text import LONGEST, NUMBERS, VALUES, every_scalar
from probe_programs import Probe, family
from prometheus_releases import Release
from prometheus_server import Prometheus, StaticPages

pytestmark = pytest.mark.wait


def labelled(probe: Probe, values: list[str]) -> Exposition:
    """A gauge with a series for each value of its label."""
    series = [([value], [1.0]) for value in values]
    request = family("gauge", "hostile", series, ["value"])
    return probe.respond(request, accept=ASKS_OPENMETRICS)


def helped(probe: Probe) -> Exposition:
    """A gauge for each hostile help text."""
    gauges = [
        family("gauge", f"hostile_{number:04}", [([], [1.0])], help_text=value)
        for number, value in enumerate(VALUES)
    ]
    return probe.respond(*gauges, accept=ASKS_OPENMETRICS)


def numbered(probe: Probe) -> Exposition:
    """Numbers of every kind, and a histogram with negative observations."""
    series = [([str(number)], [value]) for number, value in enumerate([*NUMBERS, math.nan])]
    return probe.respond(
        family("gauge", "hostile", series, ["index"]),
        family("histogram", "below", [([], [-3.0, -1.0, 2.0])], buckets=[-2.0, 0.0, 1.0]),
        family("histogram", "sunk", [([], [-3.0])], buckets=[1.0]),
        accept=ASKS_OPENMETRICS,
    )


@pytest.fixture(scope="module")
def pages(probe: Probe) -> Iterator[StaticPages]:
    """A page for each kind of hostile input."""
    with StaticPages(
        {
            "/values": labelled(probe, VALUES),
            "/longest": labelled(probe, LONGEST),
            "/scalars": labelled(probe, every_scalar()),
            "/helps": helped(probe),
            "/numbers": numbered(probe),
        }
    ) as web:
        yield web


JOBS = ["values", "longest", "scalars", "helps", "numbers"]


@pytest.fixture(scope="module")
def server(
    pages: StaticPages, prometheus_release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """A Prometheus of each release, with a job for each page."""
    jobs = {job: f"{pages.target}/{job}" for job in JOBS}
    folder = tmp_path_factory.mktemp("hostile-openmetrics")
    # Enough time for a scrape of some megabytes on a busy machine.
    with Prometheus(folder, jobs, of=prometheus_release, interval="3s") as prometheus:
        yield prometheus


def values_of(server: Prometheus, job: str) -> set[str]:
    """The label values that the server has stored."""
    samples = server.await_samples(f'hostile{{job="{job}"}}')
    return {sample["metric"].get("value", "") for sample in samples}


@pytest.mark.parametrize("job", JOBS)
def test_prometheus_never_loses_a_hostile_scrape_in_openmetrics(
    server: Prometheus, job: str
) -> None:
    server.await_up(job)


def test_hostile_label_values_are_read_back_unchanged_in_openmetrics(server: Prometheus) -> None:
    assert values_of(server, "values") == set(VALUES)


def test_label_values_of_the_maximum_length_are_read_back_unchanged_in_openmetrics(server: Prometheus) -> None:
    assert values_of(server, "longest") == set(LONGEST)


def test_every_unicode_scalar_is_read_back_unchanged_in_openmetrics(server: Prometheus) -> None:
    assert values_of(server, "scalars") == set(every_scalar())


def test_a_hostile_help_text_hides_no_sample_in_openmetrics(server: Prometheus) -> None:
    stored = server.await_samples('{__name__=~"hostile_[0-9]+", job="helps"}')
    assert len(stored) == len(VALUES)


def test_special_numbers_are_read_back_unchanged_in_openmetrics(server: Prometheus) -> None:
    samples = server.await_samples('hostile{job="numbers"}')
    shown = {int(sample["metric"]["index"]): sample["value"][1] for sample in samples}
    assert shown.pop(len(NUMBERS)) == "NaN"
    assert [float(shown[index]) for index in range(len(NUMBERS))] == NUMBERS


def test_buckets_below_zero_are_read_back_unchanged_in_openmetrics(server: Prometheus) -> None:
    samples = server.await_samples('below_bucket{job="numbers"}')
    counted = {float(one["metric"]["le"]): int(one["value"][1]) for one in samples}
    assert counted == {-2.0: 1, 0.0: 2, 1.0: 2, math.inf: 3}
