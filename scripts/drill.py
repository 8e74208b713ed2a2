#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the drill: the storefront without faults, then with five, one after another, and the
indicator of each.

    scripts/drill.py                    about a minute of load
    scripts/drill.py --seconds 3        three seconds for each run
    scripts/drill.py --requests 3000    this many requests for each run, however long they take
    scripts/drill.py --program P        with a storefront that has been built

docs/diagnose.md explains how to read it. Profiles and stalls are kept in .build/drill.
"""

import argparse
import re
import subprocess
import sys
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
  return wrk.format("GET", "/orders/" .. math.random(100))
end
"""
"""Customers with a think time of some 10 ms: they mostly request a few orders, sometimes a missing
one."""

CUSTOMERS = 32
STEADY_LOAD = {"": (CUSTOMERS, 2), "leak": (CUSTOMERS, 2), "hot-route": (8, 0.5)}
"""With counted requests: the number of customers, and a factor on the number of requests.

More requests where growth is estimated from samples; fewer customers where they would queue for
CPUs that the machine lacks.
"""
FINER = {"OUTRIDER_HEAP_INTERVAL": "65536"}
"""A smaller heap sampling interval, so that a short run has enough samples."""
LONG_DELAYS = 10
"""The long delays required as evidence of a blocked executor: a busy machine causes one or two."""
LIMIT = 240
"""Seconds after which a run has failed, on any machine."""
SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')


class Scrape:
    """A scrape of /metrics and its time."""

    def __init__(self, lab: Lab) -> None:
        self.moment = time.monotonic()
        self.samples: list[tuple[str, str, float]] = []
        for line in lab.fetch("/metrics").decode().splitlines():
            if found := SAMPLE.match(line):
                self.samples.append((found[1], found[2] or "", float(found[3])))

    def sum(self, name: str, *labels: str) -> float:
        """The sum of the samples with this name and these labels, written as they are exposed."""
        return sum(v for n, own, v in self.samples if n == name and all(l in own for l in labels))


@dataclass
class Run:
    """The service under load between two scrapes, with the evidence found."""

    fault: str
    before: Scrape | None = None
    after: Scrape | None = None
    pending: float = 0
    evidence: list[str] = field(default_factory=list)

    def grown(self, name: str, *labels: str) -> float:
        """The growth of a metric."""
        return self.after.sum(name, *labels) - self.before.sum(name, *labels)

    @property
    def answered(self) -> float:
        """The number of requests that the service has responded to."""
        return self.grown("http_server_request_duration_seconds_count")

    def mean(self, histogram: str, *labels: str) -> float:
        """The mean of the observations."""
        count = self.grown(f"{histogram}_count", *labels)
        return self.grown(f"{histogram}_sum", *labels) / count if count else 0


READ = ("http_server_request_duration_seconds", 'http_request_method="GET"')
BUY = ("http_server_request_duration_seconds", 'http_request_method="POST"')
POOL = 'db_client_connection_pool_name="orders-db"'


def hit_share(run: Run) -> float:
    """The share of lookups in the in-process cache that found an entry."""
    requests = "cache_requests_total"
    missed = run.grown(requests, 'level="1"', 'result="miss"')
    return 1 - missed / max(1, run.grown(requests, 'level="1"'))


Indicator = tuple[str, str, Callable[[Run], float]]
INDICATORS: dict[str, Indicator] = {
    "leak": (
        "live heap", "KB/1,000 requests",
        lambda run: run.grown("heap_live_bytes") / max(1, run.answered),
    ),
    "blocked-executor": (
        "executor delay", "ms",
        lambda run: 1e3 * run.mean("swift_executor_delay_seconds", 'executor="global"'),
    ),
    "dry-pool": (
        "connection wait", "ms",
        lambda run: 1e3 * run.mean("db_client_connection_wait_time_seconds", POOL),
    ),
    "hot-route": (
        # Not per request: with few requests, as with a dry pool, each would carry more of the
        # service's other work.
        "CPU usage", "cores",
        lambda run: run.grown("process_cpu_seconds_total") / (run.after.moment - run.before.moment),
    ),
    "cold-cache": ("level 1 misses", "%", lambda run: 100 * (1 - hit_share(run))),
}
"""The indicator of each fault: its name, its unit, and its computation."""


def long_delays(run: Run) -> float:
    """Delays of the global executor above 100 ms: frequent while its threads are blocked, and very
    rare otherwise."""
    delays = ("swift_executor_delay_seconds", 'executor="global"')
    return run.grown(f"{delays[0]}_count", delays[1]) - run.grown(f"{delays[0]}_bucket", delays[1], 'le="0.1"')


STEADY = INDICATORS | {
    "blocked-executor": (
        "delays above 0.1 s", "/1,000 requests",
        lambda run: 1e3 * long_delays(run) / max(1, run.answered),
    ),
    "dry-pool": (
        # Not per wait: a healthy run has few waits, which may all coincide with a slow moment of
        # the machine.
        "connection wait", "ms/request",
        lambda run: 1e3 * run.grown("db_client_connection_wait_time_seconds_sum", POOL) / max(1, run.answered),
    ),
    "hot-route": (
        "user CPU time", "ms/request",
        lambda run: 1e3 * run.grown("process_cpu_mode_seconds_total", 'mode="user"') / max(1, run.answered),
    ),
}
"""The same indicators in a form that does not depend on the machine's other load."""


@dataclass(frozen=True)
class Amount:
    """The amount of load: a duration, or a number of requests and evidence of the fault."""

    seconds: float = 0
    requests: int = 0

    def is_enough(self, run: Run, lab: Lab) -> bool:
        """Whether a run has had this amount."""
        passed = run.after.moment - run.before.moment
        if passed > LIMIT:
            sys.exit(f"{run.fault or 'healthy'}: {run.answered:g} requests in {passed:.0f} s without evidence of the fault")
        if not self.requests:
            return passed >= self.seconds
        return run.answered >= self.requests and IS_EVIDENT.get(run.fault, lambda run, lab: True)(run, lab)

    def for_warmth(self) -> "Amount":
        """The amount of the warm-up, which fills the caches: an eighth."""
        return Amount(self.seconds / 8, self.requests // 8)


def load(lab: Lab, run: Run, amount: Amount, customers: int) -> None:
    """Puts the service under load, and scrapes it as Prometheus would."""
    script = PLACE / "load.lua"
    script.write_text(LOAD)
    # Stopped once the amount is reached.
    command = ["wrk", "-t1", f"-c{customers}", f"-d{2 * LIMIT}s", "--timeout", f"{LIMIT}s", "-s", str(script), lab.service]
    run.before = run.after = Scrape(lab)
    wrk = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not amount.is_enough(run, lab):
            time.sleep(0.25)
            run.after = Scrape(lab)
            run.pending = max(run.pending, run.after.sum("db_client_connection_pending_requests", POOL))
    finally:
        wrk.kill()
        wrk.wait()


def drill(fault: str, amount: Amount, program: str | None) -> Run:
    """Runs the service with a fault, under load."""
    lab = Lab("storefront", PLACE, program, STOREFRONT_FAULT=fault, **FINER if amount.requests else {})
    run = Run(fault)
    customers, times = STEADY_LOAD.get(fault, (CUSTOMERS, 1)) if amount.requests else (CUSTOMERS, 1)
    amount = Amount(amount.seconds, int(amount.requests * times))
    try:
        load(lab, Run(""), amount.for_warmth(), customers)
        base = lab.save("heap", f"{fault or 'healthy'}-before.pb.gz")
        load(lab, run, amount, customers)
        grown = lab.save("heap", f"{fault or 'healthy'}-after.pb.gz")
        run.evidence = EVIDENCE[fault](run, lab, [f"-base={base}", str(grown)]) if fault else []
    finally:
        lab.stop()
    return run


def who_grows(run: Run, lab: Lab, profiles: list[str]) -> list[str]:
    """The functions that hold most of the new memory."""
    table = pprof("-top", "-sample_index=inuse_space", *profiles).splitlines()
    ours = [line for line in table if "Fault." in line or "fault" in line]
    return ["go tool pprof -top -base=before after", *ours[:2]]


def what_hung(run: Run, lab: Lab, profiles: list[str]) -> list[str]:
    """The reports of the hang watch."""
    stalls = run.grown("outrider_stalls_total")
    report = lab.fetch("/debug/stalls").decode()
    caught = [line for line in report.splitlines() if "usleep" in line]
    return [f"outrider_stalls_total grew by {stalls:g}; /debug/stalls:", *caught[:1]]


def who_waits(run: Run, lab: Lab, profiles: list[str]) -> list[str]:
    """The queue for the connection pool."""
    late = run.grown("work_queue_deadline_exceeded_total")
    return [f"up to {run.pending:g} requests waited for a connection; {late:g} requests got a 504 response"]


def which_route(run: Run, lab: Lab, profiles: list[str]) -> list[str]:
    """The duration of the slow route, compared with another."""
    reading, buying = (1e3 * run.mean(*which) for which in (READ, BUY))
    return [f"GET /orders/{{id}} takes {reading:.2f} ms; POST /orders, which does far more work, takes {buying:.2f} ms"]


def who_is_asked(run: Run, lab: Lab, profiles: list[str]) -> list[str]:
    """The lookups that level 1 passes on."""
    asked = run.grown("cache_requests_total", 'level="2"') / max(1, run.answered)
    return [f"each request makes {asked:.2f} lookups in level 2"]


IS_EVIDENT: dict[str, Callable[[Run, Lab], bool]] = {
    "blocked-executor": lambda run, lab: long_delays(run) >= LONG_DELAYS and b"usleep" in lab.fetch("/debug/stalls"),
    "dry-pool": lambda run, lab: run.pending > 0 and run.grown("work_queue_deadline_exceeded_total") > 0,
}
"""Evidence that appears by chance, given a long enough run."""
EVIDENCE: dict[str, Callable[[Run, Lab, list[str]], list[str]]] = {
    "leak": who_grows, "blocked-executor": what_hung, "dry-pool": who_waits,
    "hot-route": which_route, "cold-cache": who_is_asked,
}


def table(runs: list[Run], indicators: dict[str, Indicator]) -> None:
    """Prints every indicator of every run; marks the one of the run's fault."""
    say(f"\n{'':18}" + "".join(f"{name[0]:>24}" for name in indicators.values()))
    say(f"{'':18}" + "".join(f"{name[1]:>24}" for name in indicators.values()))
    for run in runs:
        line = f"{run.fault or 'healthy':18}"
        for fault, (_, _, read) in indicators.items():
            mark = "*" if fault == run.fault else " "
            line += f"{read(run):23.3f}{mark}"
        say(line)


def report(healthy: Run, runs: list[Run]) -> None:
    """Prints the indicators of all runs, and the evidence of each fault."""
    table([healthy, *runs], INDICATORS)
    say("\nIndicators that do not depend on other load of the machine:")
    table([healthy, *runs], STEADY)
    say()
    for run in runs:
        name, unit, read = INDICATORS[run.fault]
        say(f"{run.fault}: {name} went from {read(healthy):.3f} to {read(run):.3f} {unit}")
        for line in run.evidence:
            say(f"    {line.strip()}")


def main() -> None:
    """Runs the drill."""
    parser = argparse.ArgumentParser(description="Injects five faults into the storefront and shows the metric that reveals each.")
    parser.add_argument("--seconds", type=int, default=8, help="seconds of load for each run")
    parser.add_argument("--requests", type=int, default=0, help="number of requests for each run, instead of --seconds")
    parser.add_argument("--program", help="path of a storefront binary; built by default")
    told = parser.parse_args()
    amount = Amount(told.seconds, told.requests)
    PLACE.mkdir(parents=True, exist_ok=True)
    healthy = drill("", amount, told.program)
    report(healthy, [drill(fault, amount, told.program) for fault in INDICATORS])


if __name__ == "__main__":
    main()
