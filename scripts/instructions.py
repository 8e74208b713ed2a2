#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the instructions of frequently executed operations, and fails if one exceeds its limit.

Times depend on the machine and its load; instructions do not. valgrind has no rseq(2), so the path
of a series with per-CPU rows is counted with a thread that is registered on the first CPU without
the kernel; otherwise the same operation takes the fallback, an atomic add, which has its own limit.

    scripts/instructions.py             counts all
    scripts/instructions.py counter_inc counts one
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FIRST_CPU = "--on-first-cpu"


class Gate(NamedTuple):
    """An operation with its instruction limit."""

    operation: str
    most: float
    on_cpu: bool = False
    """Whether the thread is registered on the first CPU."""
    count: int = 200_000
    per: int = 1
    """The number of units, such as series, in one operation."""


GATES = [
    Gate("counter_inc", 16),
    Gate("counter_inc", 26, on_cpu=True, count=400_000),
    Gate("gauge_set", 6),
    Gate("histogram_observe", 120),
    Gate("histogram_observe", 140, on_cpu=True),
    Gate("native_observe", 140),
    Gate("native_observe", 170, on_cpu=True),
    Gate("counter_lookup", 640),
    Gate("counter_lookup_record", 660),
    Gate("counter_lookup_typed", 48),
    Gate("request_token", 1_250),
    Gate("scrape_counters", 400, count=3, per=10_000),
]


def instructions(program: Path, gate: Gate, count: int) -> int:
    """The instructions that the program executes until its end."""
    with tempfile.NamedTemporaryFile() as out:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out.name}", str(program)]
        command += [FIRST_CPU] if gate.on_cpu else []
        told = subprocess.run(
            [*command, "--loop", gate.operation, str(count)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    found = re.search(r"Collected : (\d+)", told.stderr)
    if told.returncode != 0 or not found:
        sys.exit(f"instructions: {gate.operation} exited with status {told.returncode}:\n{told.stderr}")
    return int(found[1])


def measure(program: Path, gate: Gate) -> float:
    """The instructions of one operation: the difference between a run and one with twice as
    many."""
    # Twice as many, so that a series is frequently updated in both.
    few, many = (instructions(program, gate, count) for count in (gate.count, gate.count * 2))
    return (many - few) / gate.count / gate.per


def main() -> None:
    gates = [gate for gate in GATES if gate.operation in sys.argv[1:] or len(sys.argv) == 1]
    if not gates:
        sys.exit(f"instructions: unknown operations: {', '.join(sys.argv[1:])}")
    built = subprocess.run(
        [ROOT / "scripts/build-release.sh", "outrider-bench"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    with tempfile.TemporaryDirectory() as place:
        # valgrind cannot read Swift's debug information.
        program = Path(place, "outrider-bench")
        shutil.copy(built.stdout.split()[-1], program)
        subprocess.run(["strip", "-s", program], check=True)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            counted = list(pool.map(lambda gate: measure(program, gate), gates))
    over = 0
    for gate, count in zip(gates, counted):
        name = gate.operation + (" on its CPU" if gate.on_cpu else "")
        over += count > gate.most
        print(f"{name:32}{count:8.1f} of {gate.most:4.0f}{'  TOO MANY' * (count > gate.most)}")
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
