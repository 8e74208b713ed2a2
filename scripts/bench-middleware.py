#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the cost of recording each request in a Hummingbird service: CPU time per request under
wrk.

    scripts/bench-middleware.py [--rounds 24] [--seconds 2]
    scripts/bench-middleware.py --instructions        instead: under valgrind's callgrind

One server for each variant runs all the time; idle ones cost nothing. A round loads each of them in
turn, in a different order each time, so that a slow minute of the machine affects all alike. The
ratio of a variant to `none` is computed within a round; the result is its median, with the 95 %
interval of that median (binomial, so no distribution is assumed).

Instructions do not depend on the machine's load: they are the difference between a run with many
requests and one with few, per request.
"""

import argparse
import contextlib
import http.client
import math
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
VARIANTS = ["none", "empty", "outrider", "hummingbird-noop", "hummingbird"]


def cpu_nanoseconds(pid):
    """The CPU time of a process so far, from the scheduler's account of each of its threads."""
    total = 0
    for schedstat in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(FileNotFoundError):
            total += int(schedstat.read_text().split()[0])
    return total


def pinned(index):
    """The command prefix that pins a command to the n-th available CPU, so that load and server use
    different ones."""
    cpus = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cpus[index])] if len(cpus) > 1 else []


def load(port, seconds):
    """The number of requests that wrk completed; fails on errors."""
    output = subprocess.run(
        [*pinned(1), "wrk", "-t1", "-c16", f"-d{seconds}s", f"http://127.0.0.1:{port}/hello/42"],
        capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"wrk reported errors:\n{output}")
    return int(re.search(r"(\d+) requests in", output)[1])


def instructions(server, variant, requests):
    """The instructions of a server that starts, responds to this many requests and ends."""
    with tempfile.TemporaryDirectory() as folder:
        stripped = f"{folder}/server"
        subprocess.run(["strip", "-s", "-o", stripped, server], check=True)
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        process = subprocess.Popen(
            [*command, stripped, variant], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**os.environ, "SWIFT_DETERMINISTIC_HASHING": "1"})
        try:
            port = int(process.stdout.readline())
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            for _ in range(requests):
                connection.request("GET", "/hello/42")
                answer = connection.getresponse()
                assert (answer.status, answer.read()) == (200, b"hello 42")
            connection.close()
            process.terminate()
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait(timeout=10)
    return int(re.search(r"Collected : (\d+)", said)[1])


def report_instructions(server):
    """Prints a line for each variant."""
    few, many = 500, 2_500
    none = None
    for variant in VARIANTS:
        both = [instructions(server, variant, count) for count in (few, many)]
        each = (both[1] - both[0]) / (many - few)
        none = none or each
        print(f"{variant:18} {each:9.0f} instructions   {each / none:.3f} × none")


def interval(values):
    """The 95 % confidence interval of the median."""
    ordered = sorted(values)
    count = len(ordered)
    low, below = 0, 0.0
    for rank in range(count):
        below += math.comb(count, rank) / 2**count
        if below > 0.025:
            low = rank
            break
    return ordered[low], ordered[count - 1 - low]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--instructions", action="store_true")
    options = parser.parse_args()

    if not shutil.which("wrk"):
        raise SystemExit("wrk is missing: run apt-get install wrk, or run make bench-middleware as root")
    build = ["swift", "build", "-c", "release", "--package-path", "Benchmarks/Middleware", "--product", "middleware-server"]
    subprocess.run(build, cwd=ROOT, stdout=sys.stderr, check=True)
    server = ROOT / "Benchmarks/Middleware/.build/release/middleware-server"
    if options.instructions:
        report_instructions(server)
        return
    figures = {variant: [] for variant in VARIANTS}
    with contextlib.ExitStack() as stack:
        servers = {}
        for variant in VARIANTS:
            process = stack.enter_context(
                subprocess.Popen([*pinned(0), server, variant], stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            servers[variant] = (process.pid, int(process.stdout.readline()))
            load(servers[variant][1], 1)
        for number in range(options.rounds):
            shift = number % len(VARIANTS)
            order = VARIANTS[shift:] + VARIANTS[:shift]
            for variant in order if number % 2 == 0 else reversed(order):
                pid, port = servers[variant]
                before = cpu_nanoseconds(pid)
                requests = load(port, options.seconds)
                figures[variant].append((cpu_nanoseconds(pid) - before) / requests / 1000)
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)

    print(f"server CPU per request, {options.rounds} rounds of {options.seconds} s each")
    for variant in VARIANTS:
        ratios = [own / none for own, none in zip(figures[variant], figures["none"])]
        low, high = interval(ratios)
        print(
            f"{variant:18} {statistics.median(figures[variant]):7.2f} µs   "
            f"{statistics.median(ratios):.3f} × none   [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main()
