# SPDX-License-Identifier: Apache-2.0
"""Every increment is accounted for, whatever threads, CPUs, forks, removals and scrapes do meanwhile."""

import subprocess

import pytest

from harness import clean_environment, probe_binary

pytestmark = pytest.mark.compute


@pytest.fixture(scope="module")
def totals() -> dict[str, tuple[float, float]]:
    """What was recorded and what was counted, by name (Tests/Probe/Stress.swift)."""
    told = subprocess.run(
        [probe_binary(), "stress"],
        capture_output=True,
        check=True,
        timeout=600,
        text=True,
        env=clean_environment(),
    )
    rows = [line.split() for line in told.stdout.splitlines()]
    return {name: (float(recorded), float(counted)) for name, recorded, counted in rows}


@pytest.mark.parametrize(
    "name", ["whole", "fraction", "observations", "sum", "looked", "passing", "removed", "children"]
)
def test_nothing_is_lost_and_nothing_counted_twice(
    totals: dict[str, tuple[float, float]], name: str
) -> None:
    recorded, counted = totals[name]
    assert counted == recorded


def test_there_was_something_to_lose(totals: dict[str, tuple[float, float]]) -> None:
    assert totals["whole"][0] > 1_000_000
    assert totals["passing"][0] > 10_000
