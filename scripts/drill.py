#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The drill: the storefront healthy, then with five faults, one after another; and what gives each away.

    scripts/drill.py                    some minute of load
    scripts/drill.py --seconds 3        three seconds for each
    scripts/drill.py --requests 3000    so many requests for each, however long that takes
    scripts/drill.py --program P        with a storefront that is built already

docs/diagnose.md tells how to read it. Profiles and stalls are kept in .build/drill.
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
"""Customers who think for some 10 ms: mostly of a few orders, sometimes of one that is not there."""

CUSTOMERS = 32
STEADY_LOAD = {"": (CUSTOMERS, 2), "leak": (CUSTOMERS, 2), "hot-route": (8, 0.5)}
"""Where the requests are counted: customers, and how many times as many requests as another run has.

More requests where what grows is estimated from samples; few customers where more of them would queue for a processor
that the machine does not have.
"""
FINER = {"OUTRIDER_HEAP_INTERVAL": "65536"}
"""Samples of the heap, so that a short run has enough of them."""
LONG_DELAYS = 10
"""So many have to be seen of a blocked executor: a machine that is busy delays one or two."""
LIMIT = 240
"""Seconds after which a run has failed, on any machine."""
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
    before: Scrape | None = None
    after: Scrape | None = None
    pending: float = 0
    evidence: list[str] = field(default_factory=list)

    def grown(self, name: str, *labels: str) -> float:
        """By how much something has grown."""
        return self.after.sum(name, *labels) - self.before.sum(name, *labels)

    @property
    def answered(self) -> float:
        """Requests that the service has answered."""
        return self.grown("http_server_request_duration_seconds_count")

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
        # Not for each request: few requests, as a dry pool has, bear what the service does besides.
        "CPU usage", "cores",
        lambda run: run.grown("process_cpu_seconds_total") / (run.after.moment - run.before.moment),
    ),
    "cold-cache": ("level 1 misses", "%", lambda run: 100 * (1 - hit_share(run))),
}
"""For each fault what gives it away, its unit, and how it is read."""


def long_delays(run: Run) -> float:
    """Delays of the global executor above 0.1 s: while its threads are blocked, and next to never else."""
    delays = ("swift_executor_delay_seconds", 'executor="global"')
    return run.grown(f"{delays[0]}_count", delays[1]) - run.grown(f"{delays[0]}_bucket", delays[1], 'le="0.1"')


STEADY = INDICATORS | {
    "blocked-executor": (
        "delays above 0.1 s", "/1,000 requests",
        lambda run: 1e3 * long_delays(run) / max(1, run.answered),
    ),
    "dry-pool": (
        # Not for each time that one was asked for: in a healthy run those are few, and may all come at a bad moment.
        "connection wait", "ms/request",
        lambda run: 1e3 * run.grown("db_client_connection_wait_time_seconds_sum", POOL) / max(1, run.answered),
    ),
    "hot-route": (
        "user CPU time", "ms/request",
        lambda run: 1e3 * run.grown("process_cpu_mode_seconds_total", 'mode="user"') / max(1, run.answered),
    ),
}
"""The same, of what does not depend on what else the machine has to do."""


@dataclass(frozen=True)
class Amount:
    """How much load: for so long, or so many requests and until there is evidence of the fault."""

    seconds: float = 0
    requests: int = 0

    def is_enough(self, run: Run, lab: Lab) -> bool:
        """Whether a run has had that."""
        passed = run.after.moment - run.before.moment
        if passed > LIMIT:
            sys.exit(f"{run.fault or 'healthy'}: {run.answered:g} requests in {passed:.0f} s without evidence of the fault")
        if not self.requests:
            return passed >= self.seconds
        return run.answered >= self.requests and IS_EVIDENT.get(run.fault, lambda run, lab: True)(run, lab)

    def for_warmth(self) -> "Amount":
        """What comes before, so that the caches are filled: an eighth."""
        return Amount(self.seconds / 8, self.requests // 8)


def load(lab: Lab, run: Run, amount: Amount, customers: int) -> None:
    """Puts the service under load, and looks at what comes and goes as Prometheus would."""
    script = PLACE / "load.lua"
    script.write_text(LOAD)
    # Stopped when it is enough.
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
    """The service with a fault, under load."""
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
    return [f"up to {run.pending:g} requests waited for a connection; {late:g} requests got a 504 response"]


def which_route(run: Run, lab: Lab, profiles: list[str]) -> list[str]:
    """Time in the route, beside its own work."""
    reading, buying = (1e3 * run.mean(*which) for which in (READ, BUY))
    return [f"GET /orders/{{id}} takes {reading:.2f} ms; POST /orders, which does far more work, takes {buying:.2f} ms"]


def who_is_asked(run: Run, lab: Lab, profiles: list[str]) -> list[str]:
    """What level 1 passes on."""
    asked = run.grown("cache_requests_total", 'level="2"') / max(1, run.answered)
    return [f"each request makes {asked:.2f} lookups in level 2"]


IS_EVIDENT: dict[str, Callable[[Run, Lab], bool]] = {
    "blocked-executor": lambda run, lab: long_delays(run) >= LONG_DELAYS and b"usleep" in lab.fetch("/debug/stalls"),
    "dry-pool": lambda run, lab: run.pending > 0 and run.grown("work_queue_deadline_exceeded_total") > 0,
}
"""What comes by chance, and comes where a run is long enough."""
EVIDENCE: dict[str, Callable[[Run, Lab, list[str]], list[str]]] = {
    "leak": who_grows, "blocked-executor": what_hung, "dry-pool": who_waits,
    "hot-route": which_route, "cold-cache": who_is_asked,
}


def table(runs: list[Run], indicators: dict[str, Indicator]) -> None:
    """Every indicator in every run; its own is marked."""
    say(f"\n{'':18}" + "".join(f"{name[0]:>24}" for name in indicators.values()))
    say(f"{'':18}" + "".join(f"{name[1]:>24}" for name in indicators.values()))
    for run in runs:
        line = f"{run.fault or 'healthy':18}"
        for fault, (_, _, read) in indicators.items():
            mark = "*" if fault == run.fault else " "
            line += f"{read(run):23.3f}{mark}"
        say(line)


def report(healthy: Run, runs: list[Run]) -> None:
    """The indicators of all runs, and what comes of each fault."""
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
