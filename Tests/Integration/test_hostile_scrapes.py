# SPDX-License-Identifier: Apache-2.0
"""Hostile values in the text format: none loses a scrape of a real Prometheus server, whatever
other parsers accept."""

import math
from collections.abc import Iterator

import pytest

from hostile_text import LONGEST, NUMBERS, VALUES, every_scalar
from probe_programs import Probe, family
from prometheus_server import Prometheus, StaticPages

pytestmark = pytest.mark.wait


def labelled(probe: Probe, values: list[str]) -> bytes:
    """A gauge with a series for each value of its label."""
    series = [([value], [1.0]) for value in values]
    return probe.expose(family("gauge", "hostile", series, ["value"]))


def helped(probe: Probe) -> bytes:
    """A gauge for each hostile help text."""
    gauges = [
        family("gauge", f"hostile_{number:04}", [([], [1.0])], help_text=value)
        for number, value in enumerate(VALUES)
    ]
    return probe.expose(*gauges)


@pytest.fixture(scope="module")
def server(probe: Probe, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus with a job for each kind of hostile input."""
    numbers = [([str(number)], [value]) for number, value in enumerate([*NUMBERS, math.nan])]
    pages = {
        "/values": labelled(probe, VALUES),
        "/longest": labelled(probe, LONGEST),
        "/scalars": labelled(probe, every_scalar()),
        "/helps": helped(probe),
        "/numbers": probe.expose(family("gauge", "hostile", numbers, ["index"])),
    }
    with StaticPages(pages) as web:
        jobs = {path[1:]: f"{web.target}{path}" for path in pages}
        folder = tmp_path_factory.mktemp("hostile")
        # Enough time for a scrape of some megabytes on a busy machine.
        with Prometheus(folder, jobs, interval="3s") as prometheus:
            yield prometheus


def values_of(server: Prometheus, job: str) -> set[str]:
    """The label values that the server has stored."""
    samples = server.await_samples(f'hostile{{job="{job}"}}')
    return {sample["metric"].get("value", "") for sample in samples}


@pytest.mark.parametrize("job", ["values", "longest", "scalars", "helps", "numbers"])
def test_prometheus_never_loses_a_hostile_scrape(server: Prometheus, job: str) -> None:
    server.await_up(job)


def test_prometheus_returns_hostile_label_values_unchanged(server: Prometheus) -> None:
    assert values_of(server, "values") == set(VALUES)


def test_prometheus_returns_label_values_of_the_maximum_length_unchanged(server: Prometheus) -> None:
    assert values_of(server, "longest") == set(LONGEST)


def test_prometheus_returns_every_unicode_scalar_unchanged(server: Prometheus) -> None:
    assert values_of(server, "scalars") == set(every_scalar())


def test_a_hostile_help_text_hides_no_sample_from_prometheus(server: Prometheus) -> None:
    stored = server.await_samples('{__name__=~"hostile_[0-9]+", job="helps"}')
    assert len(stored) == len(VALUES)


def test_prometheus_returns_special_numbers_unchanged(server: Prometheus) -> None:
    samples = server.await_samples('hostile{job="numbers"}')
    shown = {int(sample["metric"]["index"]): sample["value"][1] for sample in samples}
    for index, number in enumerate(NUMBERS):
        assert float(shown[index]) == number
        assert math.copysign(1, float(shown[index])) == math.copysign(1, number)
    assert shown[len(NUMBERS)] == "NaN"
