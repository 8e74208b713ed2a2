# SPDX-License-Identifier: Apache-2.0
"""The drill of docs/diagnose.md: five faults, each of which moves its own indicator more than any
other fault does."""

import re
import subprocess

import pytest

from harness import ROOT, clean_environment, release_binary

pytestmark = pytest.mark.compute

FAULTS = ["leak", "blocked-executor", "dry-pool", "hot-route", "cold-cache"]
LEAST = {"leak": 5, "blocked-executor": 3, "dry-pool": 10, "hot-route": 3, "cold-cache": 5}
"""The minimum factor by which each indicator moves; docs/diagnose.md has the measured ones.

For the blocked executor, at least ten long delays are required: on a busy machine a healthy run may
have one or two by chance.
"""
REQUESTS = "3000"
"""Requests in each run, however long they take."""


@pytest.fixture(scope="module", name="drill")
def fixture_drill() -> str:
    """The output of the drill."""
    command = [ROOT / "scripts/drill.py", "--requests", REQUESTS, "--program", release_binary("storefront")]
    run = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=3_600)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def table(drill: str) -> dict[str, list[float]]:
    """The indicators of each run, in the order of the faults."""
    steady = drill.split("\nIndicators that do not depend on other load of the machine:\n")[1]
    rows = re.findall(r"^(healthy|[a-z]+-?[a-z]*) +((?:[\d.-]+[* ]? *){5})$", steady, re.M)
    found = [(name, [float(value) for value in values.replace("*", "").split()]) for name, values in rows]
    assert [name for name, _ in found] == ["healthy", *FAULTS], drill
    return dict(found)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_moves_its_own_indicator_most(drill: str, fault: str) -> None:
    runs = table(drill)
    column = FAULTS.index(fault)
    own = runs[fault][column]
    healthy = runs["healthy"][column]
    assert own >= LEAST[fault] * max(healthy, 1e-3), drill
    others = [values[column] for name, values in runs.items() if name != fault]
    assert own > max(others), drill


@pytest.mark.parametrize(
    ("fault", "evidence"),
    [
        # The name of the leaking function.
        ("leak", r"rememberView\(\)"),
        # The blocking call, in the thread's stack.
        ("blocked-executor", r"usleep ← .*OrderDesk"),
        ("dry-pool", r"up to [1-9]\d* requests waited for a connection; [1-9]\d* requests got a 504 response"),
        ("hot-route", r"GET /orders/\{id\} takes"),
        ("cold-cache", r"each request makes (0\.[5-9]|1)"),
    ],
)
def test_the_suggested_next_step_shows_the_cause(drill: str, fault: str, evidence: str) -> None:
    after = drill.split(f"\n{fault}: ")[1]
    section = re.split(r"\n(?=\S)", after)[0]
    assert re.search(evidence, section), drill
