# SPDX-License-Identifier: Apache-2.0
"""Every increment is counted exactly once, under any mix of threads, CPUs, forks, removals and
scrapes."""

import subprocess

import pytest

from harness import clean_environment, probe_binary

pytestmark = pytest.mark.compute


@pytest.fixture(scope="module")
def totals() -> dict[str, tuple[float, float]]:
    """The recorded and the counted totals, by name (Tests/Probe/Stress.swift)."""
    run = subprocess.run(
        [probe_binary(), "stress"],
        capture_output=True,
        check=True,
        timeout=600,
        text=True,
        env=clean_environment(),
    )
    rows = [line.split() for line in run.stdout.splitlines()]
    return {name: (float(recorded), float(counted)) for name, recorded, counted in rows}


@pytest.mark.parametrize(
    "name", ["whole", "fraction", "observations", "sum", "looked", "passing", "removed", "children"]
)
def test_every_increment_is_counted_exactly_once(
    totals: dict[str, tuple[float, float]], name: str
) -> None:
    recorded, counted = totals[name]
    assert counted == recorded


def test_the_run_recorded_enough_increments(totals: dict[str, tuple[float, float]]) -> None:
    assert totals["whole"][0] > 1_000_000
    assert totals["passing"][0] > 10_000
