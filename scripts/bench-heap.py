#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the cost of the malloc hooks.

    scripts/bench-heap.py           nanoseconds of a pair of malloc and free, hooked and sampled, compared with
                                    the sampling of tcmalloc and jemalloc if they are installed; as TSV
    scripts/bench-heap.py --check   instructions of a pair beyond those of the allocator, against the limits
                                    of the hooks; counted, so the machine's load does not matter

The hooks are those of the preloaded object; the hooks that a service links are compiled from the
same files.
"""

import os
import re
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".build/heap-bench"

# Instructions per pair allowed beyond those of the allocator, without samples.
LIMITS = {"malloc_64": 14, "malloc_mixed": 14, "malloc_4096": 17}
INTERVAL = 512 * 1024
ROUNDS = 3


def build() -> tuple[Path, Path]:
    """Builds the benchmark and the preloaded object."""
    PLACE.mkdir(parents=True, exist_ok=True)
    program = PLACE / "pairs"
    compiler = [os.environ.get("CC", "cc"), "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(
        [*compiler, "-fno-builtin", "-pthread", ROOT / "Benchmarks/Heap/pairs.c", "-o", program], check=True
    )
    made = subprocess.run(
        [ROOT / "scripts/preload.sh"], check=True, stdout=subprocess.PIPE, text=True
    )
    return program, Path(made.stdout.splitlines()[-1])


def environment(preload: str = "", **more: str) -> dict[str, str]:
    """The environment without our variables and the allocators', except the given ones."""
    own = ("OUTRIDER_", "LD_PRELOAD", "MALLOC_CONF", "TCMALLOC_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    return kept | ({"LD_PRELOAD": preload} if preload else {}) | more


def instructions(program: Path, operation: str, count: int, preload: str) -> int:
    """The instructions of a whole run."""
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        + [str(program), operation, str(count)],
        env=environment(preload), capture_output=True, text=True, timeout=300, check=True,
    )
    found = re.search(r"Collected : (\d+)", run.stderr)
    if not found:
        sys.exit(f"bench-heap: callgrind printed no total:\n{run.stderr}")
    return int(found[1])


def instructions_per_pair(program: Path, operation: str, preload: str) -> float:
    """The instructions of one pair: the difference of two runs, which excludes the start."""
    few, many = 50_000, 250_000
    spent = [instructions(program, operation, count, preload) for count in (few, many)]
    return (spent[1] - spent[0]) / (many - few)


def check(program: Path, hooks: Path) -> int:
    """Compares the cost of the hooks with the limits."""
    failed = False
    print("operation\tbehind\thooked\tover\tlimit")
    runs = [(operation, preload) for operation in LIMITS for preload in ("", str(hooks))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = dict(zip(runs, pool.map(lambda run: instructions_per_pair(program, *run), runs)))
    for operation, limit in LIMITS.items():
        behind, hooked = counts[operation, ""], counts[operation, str(hooks)]
        over = hooked - behind
        failed |= over > limit
        print(f"{operation}\t{behind:.1f}\t{hooked:.1f}\t{over:.1f}\t{limit}")
    if failed:
        print("bench-heap: the hooks exceed their instruction limit", file=sys.stderr)
    return 1 if failed else 0


def library(name: str) -> str:
    """The path of an allocator's library; empty if it is not installed."""
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True)
    found = re.search(rf"{re.escape(name)} .*=> (\S+)", listed.stdout)
    return found[1] if found else ""


def contenders(hooks: Path) -> dict[str, dict[str, str]]:
    """The environments to compare, by name; each sampler first disabled, then enabled."""
    sampled = {"OUTRIDER_HEAP_INTERVAL": str(INTERVAL)}
    found = {
        "glibc": environment(),
        "outrider": environment(str(hooks)),
        "outrider-512k": environment(
            str(hooks), OUTRIDER_HEAP_PROFILE=f"{PLACE}/profile.pb.gz", **sampled
        ),
    }
    if tcmalloc := library("libtcmalloc.so.4"):
        found["tcmalloc"] = environment(tcmalloc, TCMALLOC_SAMPLE_PARAMETER="0")
        found["tcmalloc-512k"] = environment(tcmalloc, TCMALLOC_SAMPLE_PARAMETER=str(INTERVAL))
    if jemalloc := library("libjemalloc.so.2"):
        found["jemalloc"] = environment(jemalloc)
        conf = "prof:true,prof_active:true,lg_prof_sample:19"
        found["jemalloc-512k"] = environment(jemalloc, MALLOC_CONF=conf)
    return found


def compare(program: Path, hooks: Path) -> None:
    """Measures all of them in turn, so that slow periods of a shared machine affect all alike."""
    times: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        for name, variables in contenders(hooks).items():
            run = subprocess.run(
                [program, name], env=variables, stdout=subprocess.PIPE, text=True, timeout=300,
                check=True,
            )
            for line in run.stdout.splitlines():
                who, operation, _, least, median = line.split("\t")
                times.setdefault((who, operation), []).append((float(least), float(median)))
    print("allocator\toperation\tmin_ns\tmedian_ns")
    for (who, operation), rounds in times.items():
        least = min(least for least, _ in rounds)
        print(f"{who}\t{operation}\t{least:.1f}\t{statistics.median(m for _, m in rounds):.1f}")


def main() -> int:
    if sys.argv[1:] not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    program, hooks = build()
    if sys.argv[1:] == ["--check"]:
        return check(program, hooks)
    compare(program, hooks)
    return 0


if __name__ == "__main__":
    sys.exit(main())
