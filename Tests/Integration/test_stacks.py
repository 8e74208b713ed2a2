# SPDX-License-Identifier: Apache-2.0
"""Stack walks, compared with another unwinder on the allocations of real Swift code."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from harness import ROOT, clean_environment, probe_binary
from preload_tools import LIMIT

pytestmark = pytest.mark.compute

STACK = ROOT / "Sources/COutriderStack"
# One in so many allocations is compared: the other unwinder takes some 50 us each.
EVERY = {"objects": 7, "collections": 19, "json": 7, "tasks": 19, "dispatch": 3}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The preloaded object that compares stacks."""
    made = tmp_path_factory.mktemp("stacks") / "compare_stacks.so"
    flags = ["-shared", "-fPIC", "-O2", "-std=gnu11", "-fvisibility=hidden", "-Wall", "-Wextra"]
    sources = [ROOT / "Tests/Preload/compare_stacks.c", *sorted(STACK.glob("*.c"))]
    command = [os.environ.get("CC", "cc"), *flags, "-fno-omit-frame-pointer", "-Werror"]
    subprocess.run(
        [*command, f"-I{STACK}/include", *sources, "-o", made], check=True, timeout=LIMIT
    )
    return made


@pytest.mark.parametrize("workload", EVERY)
def test_stacks_equal_those_of_an_unwinder(comparison: Path, workload: str) -> None:
    run = subprocess.run(
        [probe_binary(), "workload", workload],
        env=clean_environment(
            LD_PRELOAD=str(comparison), COMPARE_STACKS_EVERY=str(EVERY[workload])
        ),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
    )
    found = re.search(r"^stacks (\d+) (\d+) (\d+)$", run.stderr, re.MULTILINE)
    assert found, run.stderr
    walked, equal, longer = map(int, found.groups())
    assert walked > 1_000
    assert (equal + longer) / walked >= 0.99, (walked, equal, longer)
