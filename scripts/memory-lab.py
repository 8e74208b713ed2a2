#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The memory lab: a service under load, two heap profiles, and what they tell.

    scripts/memory-lab.py              some fifteen seconds of load
    scripts/memory-lab.py --seconds 1  a second for each route

Builds examples/memory-lab, runs it on free ports of this machine, and has wrk ask it. What is kept is in
.build/memory-lab: the profiles, and the flame graph as a page.
"""

import argparse
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".build/memory-lab"


def say(text: str = "") -> None:
    print(text, flush=True)


class Lab:
    """The service, running."""

    def __init__(self) -> None:
        build = [ROOT / "scripts/build-release.sh", "examples/memory-lab", "memory-lab"]
        program = subprocess.run(build, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OUTRIDER_")}
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.service = self._line("service")
        self.agent = self._line("agent")

    def _line(self, word: str) -> str:
        line = self.process.stdout.readline()
        if not line.startswith(word + " "):
            self.process.kill()
            sys.exit(f"memory-lab: the service does not start; it said: {line!r}")
        return line.split()[1]

    def stop(self) -> None:
        """Ends the service: with the end of its input, and by force after ten seconds."""
        try:
            self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()

    def load(self, path: str, seconds: int) -> int:
        """Requests that were answered while wrk asked for a path."""
        command = ["wrk", "-t1", "-c32", f"-d{seconds}s", "--timeout", "10s", self.service + path]
        run = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=seconds + 60
        )
        found = re.search(r"(\d+) requests in", run.stdout)
        if not found or "Non-2xx" in run.stdout:
            sys.exit(f"memory-lab: wrk was not answered:\n{run.stdout}")
        return int(found[1])

    def save(self, what: str, name: str) -> Path:
        """Something of the agent's, in a file."""
        with urllib.request.urlopen(f"{self.agent}/debug/pprof/{what}", timeout=60) as answer:
            (PLACE / name).write_bytes(answer.read())
        return PLACE / name


def pprof(*arguments: str) -> str:
    """What `go tool pprof` prints."""
    command = ["go", "tool", "pprof", *arguments]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=120
    ).stdout


def allocated(before: Path, after: Path) -> int:
    """Bytes that were allocated between two profiles, whoever did it."""
    text = pprof("-top", "-sample_index=alloc_space", "-unit=B", f"-base={before}", str(after))
    found = re.search(r"of (\d+)B total", text)
    return int(found[1]) if found else 0


def find_the_leak(lab: Lab, seconds: int) -> None:
    say("\n1. Something grows. Two heap profiles, and load in between:")
    lab.load("/products/7", 1)
    before = lab.save("heap", "before.pb.gz")
    requests = lab.load("/products/7", seconds)
    after = lab.save("heap", "after.pb.gz")
    say(f"   {requests} requests for single products; what is in use now and was not before:\n")
    command = ["-top", "-cum", f"-base={before}", "-focus=RecentViews|Catalogue|ProductAPI", str(after)]
    say(f"   go tool pprof {' '.join(command)}\n".replace(f"{ROOT}/", ""))
    lines = pprof(*command).splitlines()
    table = [line for line in lines if re.match(r"^ +(flat|-?[\d.]+[kMG]?B|0) ", line)]
    ours = [line for line in table[1:] if re.search(r"RecentViews|Catalogue|ProductAPI", line)]
    for line in table[:1] + ours[:6]:
        say("   " + line)
    leak = next((line.split(maxsplit=5)[5] for line in ours if "RecentViews" in line), None)
    say(f"\n   The leak is in {leak}: views of sessions that are over are never forgotten.")
    lab.save("heap?format=flamegraph", "heap.html")


def compare_the_ways(lab: Lab, seconds: int) -> None:
    say("\n2. A megabyte of JSON, the naive way and the pooled way:\n")
    lab.load("/products/pooled", 1)
    spent = {}
    for way in ("naive", "pooled"):
        before = lab.save("allocs", f"{way}-before.pb.gz")
        requests = lab.load(f"/products/{way}", seconds)
        after = lab.save("allocs", f"{way}-after.pb.gz")
        spent[way] = allocated(before, after) / requests
        rate = requests / seconds
        say(f"   {way:7} {spent[way] / 1e6:8.3f} MB allocated for each response, {rate:6.0f} responses/s")
    saved = 100 * (1 - spent["pooled"] / spent["naive"])
    say(f"\n   The pool saves {saved:.1f} % of what is allocated.")


def main() -> None:
    parser = argparse.ArgumentParser(description="A service under load, and what heap profiles tell.")
    parser.add_argument("--seconds", type=int, default=5, help="of load for each route")
    seconds = parser.parse_args().seconds
    PLACE.mkdir(parents=True, exist_ok=True)
    lab = Lab()
    try:
        say(f"service {lab.service}\nagent   {lab.agent}")
        find_the_leak(lab, seconds)
        compare_the_ways(lab, seconds)
    finally:
        lab.stop()
    say("\nThe flame graph: .build/memory-lab/heap.html; the profiles are beside it:")
    say("   go tool pprof -http=: -base=.build/memory-lab/before.pb.gz .build/memory-lab/after.pb.gz")


if __name__ == "__main__":
    main()
