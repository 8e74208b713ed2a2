#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The drill: the storefront healthy, then with five faults, one after another; and what gives each away.

    scripts/drill.py              some minute of load
    scripts/drill.py --seconds 3  three seconds for each

docs/diagnose.md tells how to read it. Profiles and stalls are kept in .build/drill.
"""

import argparse
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lab import ROOT, Lab, pprof, say

PLACE = ROOT / ".build/drill"
LOAD = """
function init() math.randomseed(7) end
function delay() return math.random(5, 15) end
function request()
  local dice = math.random(100)
  if dice <= 3 then return wrk.format("POST", "/orders?customer=c" .. math.random(1000)) end
  if dice <= 10 then return wrk.format("GET", "/orders/" .. math.random(10001, 1000000)) end
  return wrk.format("GET", "/orders/" .. math.random(200))
end
"""
"""Customers who think for some 10 ms: mostly of a few orders, sometimes of one that is not there."""

SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')


class Scrape:
    """What /metrics says at a moment."""

    def __init__(self, lab: Lab) -> None:
        self.moment = time.monotonic()
        self.samples: list[tuple[str, str, float]] = []
        for line in lab.fetch("/metrics").decode().splitlines():
            if found := SAMPLE.match(line):
                self.samples.append((found[1], found[2] or "", float(found[3])))

    def sum(self, name: str, *labels: str) -> float:
        """The sum of what has this name and these labels, written as they are exposed."""
        return sum(v for n, own, v in self.samples if n == name and all(l in own for l in labels))


@dataclass
class Run:
    """The service under load, from one scrape to another, and what was seen between them."""

    fault: str
    requests: int = 0
    before: Scrape | None = None
    after: Scrape | None = None
    pending: float = 0
    evidence: list[str] = field(default_factory=list)

    def grown(self, name: str, *labels: str) -> float:
        """By how much something has grown."""
        return self.after.sum(name, *labels) - self.before.sum(name, *labels)

    def mean(self, histogram: str, *labels: str) -> float:
        """The mean of what was observed."""
        count = self.grown(f"{histogram}_count", *labels)
        return self.grown(f"{histogram}_sum", *labels) / count if count else 0


READ = ("http_server_request_duration_seconds", 'http_request_method="GET"')
BUY = ("http_server_request_duration_seconds", 'http_request_method="POST"')
POOL = 'db_client_connection_pool_name="orders-db"'


def hit_share(run: Run) -> float:
    """Of look-ups in the cache of the process, those that found something."""
    requests = "cache_requests_total"
    missed = run.grown(requests, 'level="1"', 'result="miss"')
    return 1 - missed / max(1, run.grown(requests, 'level="1"'))


INDICATORS: dict[str, tuple[str, str, Callable[[Run], float]]] = {
    "leak": (
        "live heap", "KB/1,000 requests",
        lambda run: run.grown("heap_live_bytes") / max(1, run.requests),
    ),
    "blocked-executor": (
        "executor delay", "ms",
        lambda run: 1e3 * run.mean("swift_executor_delay_seconds", 'executor="global"'),
    ),
    "dry-pool": (
        "wait for a connection", "ms",
        lambda run: 1e3 * run.mean("db_client_connection_wait_time_seconds", POOL),
    ),
    "hot-route": (
        # Not for each request: few requests, as a dry pool has, bear what the service does besides.
        "processors busy", "cores",
        lambda run: run.grown("process_cpu_seconds_total") / (run.after.moment - run.before.moment),
    ),
    "cold-cache": ("misses of level 1", "%", lambda run: 100 * (1 - hit_share(run))),
}
"""For each fault what gives it away, its unit, and how it is read."""


def watch(lab: Lab, run: Run, isover: threading.Event) -> None:
    """Looks at what comes and goes, as Prometheus would."""
    while not isover.wait(0.25):
        run.pending = max(run.pending, Scrape(lab).sum("db_client_connection_pending_requests", POOL))


def drill(fault: str, seconds: int) -> Run:
    """The service with a fault, under load."""
    (PLACE / "load.lua").write_text(LOAD)
    lab = Lab("storefront", PLACE, STOREFRONT_FAULT=fault)
    run = Run(fault)
    try:
        arguments = ("-s", str(PLACE / "load.lua"), lab.service)
        lab.load(1, *arguments)
        base = lab.save("heap", f"{fault or 'healthy'}-before.pb.gz")
        run.before = Scrape(lab)
        isover = threading.Event()
        watcher = threading.Thread(target=watch, args=(lab, run, isover))
        watcher.start()
        run.requests, _ = lab.load(seconds, *arguments)
        isover.set()
        watcher.join()
        run.after = Scrape(lab)
        grown = lab.save("heap", f"{fault or 'healthy'}-after.pb.gz")
        run.evidence = EVIDENCE[fault](run, lab, [f"-base={base}", str(grown)]) if fault else []
    finally:
        lab.stop()
    return run


def who_grows(run: Run, lab: Lab, profiles: list[str]) -> list[str]:
    """The function that holds most of what is new."""
    table = pprof("-top", "-sample_index=inuse_space", *profiles).splitlines()
    ours = [line for line in table if "Fault." in line or "fault" in line]
    return ["go tool pprof -top -base=before after", *ours[:2]]


def what_hung(run: Run, lab: Lab, profiles: list[str]) -> list[str]:
    """What the hang watch caught."""
    stalls = run.grown("outrider_stalls_total")
    report = lab.fetch("/debug/stalls").decode()
    caught = [line for line in report.splitlines() if "usleep" in line]
    return [f"outrider_stalls_total grew by {stalls:g}; /debug/stalls:", *caught[:1]]


def who_waits(run: Run, lab: Lab, profiles: list[str]) -> list[str]:
    """The queue before the pool."""
    late = run.grown("work_queue_deadline_exceeded_total")
    return [f"{run.pending:g} waited for a connection at once; {late:g} requests were answered 504"]


def which_route(run: Run, lab: Lab, profiles: list[str]) -> list[str]:
    """Time in the route, beside its own work."""
    reading, buying = (1e3 * run.mean(*which) for which in (READ, BUY))
    return [f"GET /orders/{{id}} takes {reading:.2f} ms, POST /orders, which does far more, {buying:.2f} ms"]


def who_is_asked(run: Run, lab: Lab, profiles: list[str]) -> list[str]:
    """What level 1 passes on."""
    asked = run.grown("cache_requests_total", 'level="2"') / max(1, run.requests)
    return [f"level 2 is asked {asked:.2f} times for each request"]


EVIDENCE: dict[str, Callable[[Run, Lab, list[str]], list[str]]] = {
    "leak": who_grows, "blocked-executor": what_hung, "dry-pool": who_waits,
    "hot-route": which_route, "cold-cache": who_is_asked,
}


def report(healthy: Run, runs: list[Run]) -> None:
    """Every indicator in every run; its own is marked."""
    say(f"\n{'':18}" + "".join(f"{name[0]:>24}" for name in INDICATORS.values()))
    say(f"{'':18}" + "".join(f"{name[1]:>24}" for name in INDICATORS.values()))
    for run in [healthy, *runs]:
        line = f"{run.fault or 'healthy':18}"
        for fault, (_, _, read) in INDICATORS.items():
            mark = "*" if fault == run.fault else " "
            line += f"{read(run):23.3f}{mark}"
        say(line)
    say()
    for run in runs:
        name, unit, read = INDICATORS[run.fault]
        say(f"{run.fault}: {name} went from {read(healthy):.3f} to {read(run):.3f} {unit}")
        for line in run.evidence:
            say(f"    {line.strip()}")


def main() -> None:
    """Runs the drill."""
    parser = argparse.ArgumentParser(description="Five faults, and what gives each away.")
    parser.add_argument("--seconds", type=int, default=8, help="of load for each run")
    seconds = parser.parse_args().seconds
    PLACE.mkdir(parents=True, exist_ok=True)
    healthy = drill("", seconds)
    report(healthy, [drill(fault, seconds) for fault in INDICATORS])


if __name__ == "__main__":
    main()
