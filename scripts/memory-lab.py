#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The memory lab: a service under load, and its heap profiles.

    scripts/memory-lab.py              some fifteen seconds of load
    scripts/memory-lab.py --seconds 1  a second for each route
    scripts/memory-lab.py --program P  with a program that has been built

Builds examples/memory-lab, runs it on free ports of this machine, and loads it with wrk. The
profiles and the flame graph, a web page, are kept in .build/memory-lab.
"""

import argparse
import re
import sys
from pathlib import Path

from lab import ROOT, Lab, pprof, say

PLACE = ROOT / ".build/memory-lab"
LEAST_VIEWS = 10_000
"""This many views leak some 4 MB, which is 60 samples: the leak cannot be missed by chance."""


def ask(lab: Lab, path: str, seconds: int) -> int:
    """The number of completed requests for a path; fails unless all succeed."""
    requests, said = lab.load(seconds, lab.service + path)
    if "Non-2xx" in said:
        sys.exit(f"memory-lab: some requests failed:\n{said}")
    return requests


def allocated(before: Path, after: Path) -> int:
    """Bytes allocated between two profiles, by any function."""
    text = pprof("-top", "-sample_index=alloc_space", "-unit=B", f"-base={before}", str(after))
    found = re.search(r"of (\d+)B total", text)
    return int(found[1]) if found else 0


def find_the_leak(lab: Lab, seconds: int) -> None:
    say("\n1. Memory grows. Two heap profiles, with load in between:")
    ask(lab, "/products/7", 1)
    handled = lab.idle()
    before = lab.save("heap", "before.pb.gz")
    requests = 0
    while requests < LEAST_VIEWS:
        ask(lab, "/products/7", seconds)
        requests = lab.idle() - handled
    after = lab.save("heap", "after.pb.gz")
    say(f"   {requests} requests for single products; memory in use now and not before:\n")
    command = ["-top", "-cum", f"-base={before}", "-focus=RecentViews|Catalogue|ProductAPI", str(after)]
    say(f"   go tool pprof {' '.join(command)}\n".replace(f"{ROOT}/", ""))
    lines = pprof(*command).splitlines()
    table = [line for line in lines if re.match(r"^ +(flat|-?[\d.]+[kMG]?B|0) ", line)]
    ours = [line for line in table[1:] if re.search(r"RecentViews|Catalogue|ProductAPI", line)]
    for line in table[:1] + ours[:6]:
        say("   " + line)
    leak = next((line.split(maxsplit=5)[5] for line in ours if "RecentViews" in line), None)
    say(f"\n   The leak is in {leak}: views of ended sessions are never removed.")
    lab.save("heap?format=flamegraph", "heap.html")


def compare_the_ways(lab: Lab, seconds: int) -> None:
    say("\n2. A megabyte of JSON, without and with a buffer pool:\n")
    ask(lab, "/products/pooled", 1)
    spent = {}
    for way in ("naive", "pooled"):
        # Requests that wrk did not wait for have allocated as well, and are handled.
        handled = lab.idle()
        before = lab.save("allocs", f"{way}-before.pb.gz")
        requests = ask(lab, f"/products/{way}", seconds)
        handled = lab.idle() - handled
        after = lab.save("allocs", f"{way}-after.pb.gz")
        spent[way] = allocated(before, after) / handled
        rate = requests / seconds
        say(f"   {way:7} {spent[way] / 1e6:8.3f} MB allocated per response, {rate:6.0f} responses/s")
    saved = 100 * (1 - spent["pooled"] / spent["naive"])
    say(f"\n   The pool saves {saved:.1f} % of the allocated bytes.")


def main() -> None:
    parser = argparse.ArgumentParser(description="Takes heap profiles of a service under load.")
    parser.add_argument("--seconds", type=int, default=5, help="seconds of load for each route")
    parser.add_argument("--program", help="path of the service; built by default")
    options = parser.parse_args()
    seconds = options.seconds
    lab = Lab("memory-lab", PLACE, program=options.program)
    try:
        say(f"service {lab.service}\nagent   {lab.agent}")
        find_the_leak(lab, seconds)
        compare_the_ways(lab, seconds)
    finally:
        lab.stop()
    say("\nFlame graph: .build/memory-lab/heap.html. Profiles in the same directory:")
    say("   go tool pprof -http=: -base=.build/memory-lab/before.pb.gz .build/memory-lab/after.pb.gz")


if __name__ == "__main__":
    main()
