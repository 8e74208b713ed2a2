# SPDX-License-Identifier: Apache-2.0
"""Metrics of Swift's executors, tasks, jobs and objects, compared with what the process was
commanded to do."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exposition import key
from harness import fetch, poll
from runtime_lab import RuntimeLab

pytestmark = pytest.mark.wait


@pytest.fixture(name="lab")
def fixture_lab(tmp_path: Path) -> Iterator[RuntimeLab]:
    """A separate process for each test."""
    with RuntimeLab(log=tmp_path / "log") as process:
        yield process


# Executors


def late_probes(lab: RuntimeLab, **labels: str) -> float:
    """The number of probes that were delayed by more than 250 ms."""
    samples = lab.samples()
    name = "swift_executor_delay_seconds"
    count = samples[key(f"{name}_count", labels.items())]
    return count - samples[key(f"{name}_bucket", (labels | {"le": "0.25"}).items())]


def kind_counted(lab: RuntimeLab, kind: str) -> float:
    """The number of stalls counted by kind."""
    return lab.samples().get(key("outrider_stalls_total", [("what", kind)]), 0.0)


def reports(lab: RuntimeLab, what: str, last: int | None = None) -> list[str]:
    """Stall reports of an executor, the latest first; `last` limits them to the last stalls of all
    executors."""
    page = fetch(f"{lab.url}/debug/stalls", timeout=60).decode()
    return [report for report in page.split("\n\n")[:last] if report.startswith(f"The {what} ")]


def hanging_for(report: str) -> float | None:
    """The duration of a stall in seconds; None if it is over."""
    found = re.search(r"has not responded for ([\d.]+) s", report)
    return float(found[1]) if found else None


@contextmanager
def blocked(lab: RuntimeLab, order: str, what: str, function: str) -> Iterator[str]:
    """Blocks an executor for the duration of the context, with a report that names the blocking
    function.

    The hang watch waits for the thread for 200 ms. A busy machine may not run it in this time, or
    run something else on it; the report says so, and the executor is blocked again. The landing
    page, which this yields, shows the last three stalls, and on such a machine any executor may
    stall now and then.
    """

    def hangs(last: int | None = None) -> str | None:
        return next((report for report in reports(lab, what, last) if hanging_for(report)), None)

    for _ in range(10):
        lab.do(f"{order} 0")
        report = poll(f"a stall of the {what} is reported", hangs)
        landing = fetch(f"{lab.url}/", timeout=60).decode()
        if function in report and function in (hangs(last=3) or ""):
            break
        lab.do("unblock")
        poll("the stall is over", lambda: None if hangs() else True)
    else:
        pytest.fail(f"no report names {function}: {reports(lab, what)}")
    try:
        yield landing
    finally:
        lab.do("unblock")


@pytest.mark.parametrize(
    ("order", "labels", "function", "what"),
    [
        ("block-main", {"executor": "main"}, "blockMainActor", "main actor"),
        (
            "block-executor",
            {"executor": "global", "priority": "medium"},
            "blockWorker",
            "global executor, priority medium",
        ),
    ],
)
def test_a_blocked_executor_is_reported_with_duration_and_cause(
    lab: RuntimeLab, tmp_path: Path, order: str, labels: dict[str, str], function: str, what: str
) -> None:
    kind = "main_actor" if labels["executor"] == "main" else "executor"

    def age() -> tuple[float, float, float]:
        """The age of the outstanding probe, with the times before and after the reading."""
        before = time.monotonic()
        shown = lab.sample("swift_executor_oldest_probe_age_seconds", **labels)
        return shown, before, time.monotonic()

    # Waits for the first completed probe.
    poll("a probe completes", lambda: late_probes(lab, **labels) >= 0 or None)
    late = late_probes(lab, **labels)
    with blocked(lab, order, what, function) as landing:
        first, first_after, first_before = poll(
            "the outstanding probe ages", lambda: seen if (seen := age())[0] > 0.3 else None
        )
        second, second_after, second_before = age()
        # It is the same probe, and its age matches the time between.
        assert second_after - first_before <= second - first <= second_before - first_after
    assert what in landing and function in landing
    assert kind_counted(lab, kind) >= 1
    poll("the late probe is counted", lambda: late_probes(lab, **labels) > late or None)
    poll("no old probe is outstanding", lambda: age()[0] < 0.2 or None)
    # A few stalls are logged each minute, with the cause from the report.
    logged = (tmp_path / "log").read_text()
    causes = [report.splitlines()[0].partition(", starting at ")[2] for report in reports(lab, what)]
    assert any(cause in logged for cause in causes), (causes, logged)
    assert any(function in cause for cause in causes)


def test_a_stall_is_captured_and_counted_once(lab: RuntimeLab) -> None:
    labels = {"executor": "main"}
    poll("a probe completes", lambda: late_probes(lab, **labels) >= 0 or None)
    before = kind_counted(lab, "main_actor")
    with blocked(lab, "block-main", "main actor", "blockMainActor"):

        def duration() -> float:
            return max(hanging_for(report) or 0 for report in reports(lab, "main actor"))

        first = duration()
        # The hang watch counts a stall before it looks again.
        poll("the report is updated", lambda: duration() > first or None)
        counted = kind_counted(lab, "main_actor")
        assert counted >= before + 1
        # Six times the threshold of a stall.
        poll("the stall continues", lambda: duration() > first + 0.9 or None)
        assert kind_counted(lab, "main_actor") == counted
    poll("the stall is over", lambda: not any(map(hanging_for, reports(lab, "main actor"))) or None)
    named = [r for r in reports(lab, "main actor") if "blockMainActor(milliseconds:)" in r]
    assert len(named) == 1 and "did not respond for" in named[0]


# Tasks, jobs, objects


def test_sleeping_tasks_are_live_until_they_end(lab: RuntimeLab) -> None:
    before = lab.samples()
    lab.do("sleepers 1000")
    during = lab.samples()
    live, created = key("swift_tasks_live", []), key("swift_tasks_created_total", [])
    # Outstanding probes are tasks as well, in both readings.
    assert abs(during[live] - before[live] - 1000) <= 10
    assert during[created] - before[created] >= 1000
    lab.do("wake")
    poll("the tasks are gone", lambda: lab.sample("swift_tasks_live") - before[live] <= 10 or None)
    assert lab.sample("swift_tasks_untracked_total") == 0


def test_jobs_are_counted_where_they_are_enqueued(lab: RuntimeLab) -> None:
    before = lab.sample("swift_jobs_enqueued_total")
    lab.do("jobs 10000")
    after = lab.sample("swift_jobs_enqueued_total")
    assert after - before >= 10_000


def test_objects_are_counted_by_their_type(lab: RuntimeLab) -> None:
    lab.do("objects 2000000")
    lab.do("closures 500000")
    samples = lab.samples()
    types = {
        dict(labels)["type"]: value
        for (name, labels), value in samples.items()
        if name == "swift_allocated_bytes_total"
    }
    order = next(name for name in types if name.endswith("LabOrder"))
    # 256 MB give some 488 samples: one standard deviation is at most 4.5 %. Chance exceeds this
    # bound once in 10^11 runs.
    assert types[order] == pytest.approx(2_000_000 * 128, rel=0.35)
    objects = samples[key("swift_allocated_objects_total", [("type", order)])]
    assert objects == pytest.approx(types[order] / 128, rel=0.01)
    # At least 16 MB give 30 samples, so that none at all is as unlikely.
    assert any("closure" in name for name in types), sorted(types)


# Defaults


def test_costly_metrics_and_signals_are_off_by_default(tmp_path: Path) -> None:
    with RuntimeLab(log=tmp_path / "log", PROBE_DEFAULTS="1") as lab:
        lab.do("block-main 300")
        samples = lab.samples()
        names = {name for name, _ in samples}
        assert "swift_jobs_enqueued_total" in names
        assert not {n for n in names if n.startswith(("swift_tasks", "swift_allocated"))}
        assert "outrider_stalls_total" not in names
        # SIGPROF has no handler (bit 26 of the mask of handled signals).
        caught = [
            line for line in (lab.proc / "status").read_text().splitlines() if "SigCgt" in line
        ]
        assert int(caught[0].split()[1], 16) >> 26 & 1 == 0
        # Reading the allocator blocks threads that allocate.
        names = {name for name, _ in lab.after_reading("memory")}
        assert "process_memory_part_bytes" in names
        assert not {n for n in names if n.startswith("malloc_")}
