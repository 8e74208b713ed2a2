# SPDX-License-Identifier: Apache-2.0
"""The walk of a stack, set beside another unwinder's on the allocations of real Swift code."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from harness import ROOT, clean_environment, probe_binary
from preloading import LIMIT

pytestmark = pytest.mark.compute

STACK = ROOT / "Sources/COutriderStack"
# Every so many allocations are compared: the other unwinder takes some 50 us each.
EVERY = {"objects": 7, "collections": 19, "json": 7, "tasks": 19, "dispatch": 3}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The object to preload."""
    made = tmp_path_factory.mktemp("stacks") / "compare_stacks.so"
    flags = ["-shared", "-fPIC", "-O2", "-std=gnu11", "-fvisibility=hidden", "-Wall", "-Wextra"]
    sources = [ROOT / "Tests/Preload/compare_stacks.c", *sorted(STACK.glob("*.c"))]
    command = [os.environ.get("CC", "cc"), *flags, "-fno-omit-frame-pointer", "-Werror"]
    subprocess.run(
        [*command, f"-I{STACK}/include", *sources, "-o", made], check=True, timeout=LIMIT
    )
    return made


@pytest.mark.parametrize("workload", EVERY)
def test_stacks_are_those_that_an_unwinder_finds(comparison: Path, workload: str) -> None:
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
