# SPDX-License-Identifier: Apache-2.0
"""Each figure of the process, against somebody else who knows it: the kernel, ps, getrusage."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from exposition import key
from harness import fetch, poll
from runtime_lab import RuntimeLab, cpu_limit, total

pytestmark = pytest.mark.wait

MEBIBYTE = 1 << 20


@pytest.fixture(name="lab")
def fixture_lab(tmp_path: Path) -> Iterator[RuntimeLab]:
    """A process of its own for each test."""
    with RuntimeLab(log=tmp_path / "log") as process:
        yield process


# CPU


def test_half_a_second_of_cpu_is_half_a_second(lab: RuntimeLab) -> None:
    before, kernel_before = lab.figure("process_cpu_seconds_total"), lab.cpu_seconds
    lab.do("burn 500")
    after, kernel_after = lab.figure("process_cpu_seconds_total"), lab.cpu_seconds
    assert after - before >= 0.5
    # Two ticks of rounding, and what a scrape and the beats use between one look and the other.
    assert after - before == pytest.approx(kernel_after - kernel_before, abs=0.1)
    user = lab.figure("process_cpu_mode_seconds_total", mode="user")
    system = lab.figure("process_cpu_mode_seconds_total", mode="system")
    assert user + system == pytest.approx(lab.figure("process_cpu_seconds_total"), abs=0.1)


def test_getrusage_of_a_process_that_has_ended_agrees(lab: RuntimeLab) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    lab.do("burn 300")
    shown = lab.figures()
    lab.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # Its last moments come on top.
    assert shown[key("process_cpu_seconds_total", [])] == pytest.approx(used, abs=0.3)
    faults = after.ru_minflt - before.ru_minflt
    minor = shown[key("process_page_faults_total", [("kind", "minor")])]
    assert 0.5 * faults < minor <= faults


def test_threads_account_for_the_cpu_of_the_process(lab: RuntimeLab) -> None:
    lab.do("burn 500")
    figures = lab.after_reading("threads")
    of_threads = total(figures, "thread_cpu_seconds_total")
    assert of_threads >= 0.5
    assert of_threads <= figures[key("process_cpu_seconds_total", [])] + 0.1
    waited = sum(
        int((thread / "schedstat").read_text().split()[1]) for thread in (lab.proc / "task").iterdir()
    )
    assert 0 <= figures[key("process_run_queue_seconds_total", [])] <= waited / 1e9 + 0.01


def test_a_cpu_limit_shows_itself_and_how_it_holds_back(lab: RuntimeLab) -> None:
    try:
        with cpu_limit(lab.popen.pid, 0.2) as group:
            lab.do("burn 200")
            figures = lab.figures()
            said = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    except OSError as refusal:
        pytest.skip(f"no control group of one's own on this machine: {refusal}")
    assert figures[key("cgroup_cpu_limit_cores", [])] == pytest.approx(0.2)
    throttled = figures[key("cgroup_cpu_throttled_periods_total", [])]
    assert 0 < throttled <= int(said["nr_throttled"])
    seconds = figures[key("cgroup_cpu_throttled_seconds_total", [])]
    kernel = int(said["throttled_time"]) / 1e9 if "throttled_time" in said else (
        int(said["throttled_usec"]) / 1e6
    )
    assert 0.1 < seconds <= kernel
    assert figures[key("cgroup_cpu_periods_total", [])] >= throttled


# Memory


def test_64_mebibytes_that_are_touched_are_resident(lab: RuntimeLab) -> None:
    before = lab.figures()
    lab.do("touch 64")
    after, kernel = lab.figures(), lab.status("VmRSS")
    for name in [
        key("process_resident_memory_bytes", []),
        key("process_resident_memory_kind_bytes", [("kind", "anonymous")]),
    ]:
        # The kernel gathers its counts, a few pages for each processor.
        assert 63 * MEBIBYTE <= after[name] - before[name] < 72 * MEBIBYTE
    assert after[key("process_resident_memory_bytes", [])] == pytest.approx(
        kernel, abs=2 * MEBIBYTE
    )
    assert after[key("process_resident_memory_bytes", [])] == pytest.approx(
        int(lab.ps("rss")) * 1024, abs=2 * MEBIBYTE
    )
    assert after[key("process_virtual_memory_bytes", [])] == pytest.approx(
        int(lab.ps("vsz")) * 1024, abs=16 * MEBIBYTE
    )
    assert after[key("process_resident_memory_peak_bytes", [])] == pytest.approx(
        lab.status("VmHWM"), abs=2 * MEBIBYTE
    )
    assert after[key("process_swap_bytes", [])] == lab.status("VmSwap")
    lab.do("release")
    assert lab.figure("process_resident_memory_bytes") < kernel - 60 * MEBIBYTE
    assert lab.figure("process_resident_memory_peak_bytes") >= kernel - 2 * MEBIBYTE


def test_resident_memory_has_names_for_95_percent_of_it(lab: RuntimeLab) -> None:
    lab.do("touch 64")
    lab.do("threads 20")
    figures = lab.after_reading("memory")
    parts = {
        dict(labels)["part"]: value
        for (name, labels), value in figures.items()
        if name == "process_memory_part_bytes"
    }
    assert sum(parts.values()) == pytest.approx(lab.status("VmRSS"), rel=0.05)
    assert parts["rest"] <= 0.05 * sum(parts.values())
    # The 64 MiB are one block that the allocator has mapped.
    assert figures[key("malloc_mmapped_bytes", [])] >= 64 * MEBIBYTE
    assert parts["live_heap"] >= 64 * MEBIBYTE
    allocator = {p: figures[key(f"malloc_{p}_bytes", [])] for p in ["arena", "mmapped"]}
    used = figures[key("malloc_in_use_bytes", [])] + figures[key("malloc_free_bytes", [])]
    assert used == pytest.approx(allocator["arena"] + allocator["mmapped"], rel=0.01)


def test_faults_and_switches_are_the_kernels(lab: RuntimeLab) -> None:
    lab.do("touch 8")

    low = (lab.stat(10), lab.stat(12))
    figures = lab.figures()
    high = (lab.stat(10), lab.stat(12))
    for kind, least, most in zip(["minor", "major"], low, high, strict=True):
        assert least <= figures[key("process_page_faults_total", [("kind", kind)])] <= most
    switches = {"voluntary": 0, "nonvoluntary": 0}
    for thread in (lab.proc / "task").iterdir():
        for line in (thread / "status").read_text().splitlines():
            for kind in switches:
                if line.startswith(f"{kind}_ctxt_switches:"):
                    switches[kind] += int(line.split()[1])
    figures = lab.figures()
    # Threads that have ended count too, so it is at least what the living ones say.
    for kind, ours in [("voluntary", "voluntary"), ("nonvoluntary", "involuntary")]:
        assert figures[key("process_context_switches_total", [("kind", ours)])] >= switches[kind]


# Descriptors, threads, I/O


def test_a_thousand_files_are_a_thousand_descriptors(lab: RuntimeLab) -> None:
    # The files that are kept open are so from the first scrape on.
    lab.figures()
    before = lab.figure("process_open_fds")
    lab.do("open 1000")

    def counted() -> float | None:
        figures = lab.figures()
        # Kernels before 6.2 do not tell at once: the count is as old as it says.
        if figures[key("process_open_fds", [])] - before < 1000:
            assert figures[key("process_open_fds_age_seconds", [])] > 0
            return None
        return figures[key("process_open_fds", [])]

    after = poll("the descriptors are counted", counted)
    assert after - before == 1000
    # A connection of ours may have come or gone.
    assert after == pytest.approx(len(os.listdir(lab.proc / "fd")), abs=2)
    limits = (lab.proc / "limits").read_text()
    soft = [line.split()[3] for line in limits.splitlines() if line.startswith("Max open files")]
    assert lab.figure("process_max_fds") == int(soft[0])


def test_a_hundred_threads_are_counted_and_have_a_name(lab: RuntimeLab) -> None:
    lab.do("threads 100")
    figures = lab.figures()
    # One that answers, or a worker, may come or go.
    assert figures[key("process_threads", [])] == pytest.approx(int(lab.ps("nlwp")), abs=2)
    figures = lab.after_reading("threads")
    assert figures[key("threads", [("thread", "lab-worker-N")])] == 100
    assert figures[key("threads", [("thread", "outrider-beat")])] == 1
    names = [(t / "comm").read_text() for t in (lab.proc / "task").iterdir()]
    assert sum(name.startswith("lab-worker-") for name in names) == 100


def test_reads_are_counted_as_the_kernel_counts_them(lab: RuntimeLab) -> None:
    def kernel(field: str) -> int:
        lines = (lab.proc / "io").read_text().splitlines()
        return int(dict(line.split(": ") for line in lines)[field])

    before = lab.figure("process_io_calls_total", direction="read")
    lab.do("read 500")
    low = kernel("syscr")
    shown = lab.figure("process_io_calls_total", direction="read")
    assert shown - before >= 500
    assert low <= shown <= kernel("syscr")
    # /dev/zero is no storage.
    assert lab.figure("process_io_bytes_total", direction="read") == kernel("read_bytes")


def test_the_start_is_when_ps_says_it_was(lab: RuntimeLab) -> None:
    boot = [line for line in Path("/proc/stat").read_text().splitlines() if "btime" in line]
    start = int(boot[0].split()[1]) + lab.stat(22) / os.sysconf("SC_CLK_TCK")
    assert lab.figure("process_start_time_seconds") == pytest.approx(start, abs=1.01)
    assert lab.figure("process_start_time_seconds") > 0


def test_the_network_is_the_namespaces(lab: RuntimeLab) -> None:
    lines = (lab.proc / "net/sockstat").read_text().splitlines()
    tcp = dict(zip(*[iter(next(l for l in lines if l.startswith("TCP:")).split()[1:])] * 2))
    assert lab.figure("sockets", state="tcp_in_use") == pytest.approx(int(tcp["inuse"]), abs=20)
    names, values = [
        line.split() for line in (lab.proc / "net/netstat").read_text().splitlines()
        if line.startswith("TcpExt:")
    ]
    kernel = dict(zip(names, values, strict=True))
    assert lab.figure("tcp_listen_overflows_total") <= int(kernel["ListenOverflows"])


# Swift


def late_answers(lab: RuntimeLab, **labels: str) -> float:
    """How many probes have waited for more than a quarter of a second."""
    figures = lab.figures()
    name = "swift_executor_delay_seconds"
    count = figures[key(f"{name}_count", labels.items())]
    return count - figures[key(f"{name}_bucket", (labels | {"le": "0.25"}).items())]


@pytest.mark.parametrize(
    ("order", "labels", "function", "what"),
    [
        ("block-main 300", {"executor": "main"}, "blockMainActor", "main actor"),
        (
            "block-executor 300",
            {"executor": "global", "priority": "medium"},
            "blockWorker",
            "global executor, priority medium",
        ),
    ],
)
def test_an_executor_that_is_blocked_tells_for_how_long_and_by_what(
    lab: RuntimeLab, tmp_path: Path, order: str, labels: dict[str, str], function: str, what: str
) -> None:
    kind = "main_actor" if labels["executor"] == "main" else "executor"
    # Wait for a first answer of each.
    poll("it answers", lambda: late_answers(lab, **labels) >= 0 or None)
    late = late_answers(lab, **labels)
    lab.do(order)

    def waits() -> float | None:
        age = lab.figure("swift_executor_oldest_probe_age_seconds", **labels)
        return age if age > 0.1 else None

    assert poll("the probe on its way grows old", waits) < 0.4
    poll("the stall is counted", lambda: kind_counted(lab, kind) or None)
    poll("the late answer is there", lambda: late_answers(lab, **labels) > late or None)
    assert lab.figure("swift_executor_oldest_probe_age_seconds", **labels) < 0.2
    landing = fetch(f"{lab.url}/").decode()
    report = fetch(f"{lab.url}/debug/stalls").decode()
    logged = poll(
        "it is logged", lambda: (tmp_path / "log").read_text() if function in
        (tmp_path / "log").read_text() else None
    )
    for text in [landing, report, logged]:
        assert what in text
        assert function in text, text


def kind_counted(lab: RuntimeLab, kind: str) -> float:
    """How many stalls of a kind were counted."""
    return lab.figures().get(key("outrider_stalls_total", [("what", kind)]), 0.0)


def test_a_stall_is_captured_and_counted_once(lab: RuntimeLab) -> None:
    labels = {"executor": "main"}
    poll("it answers", lambda: late_answers(lab, **labels) >= 0 or None)
    before = kind_counted(lab, "main_actor")
    lab.do("block-main 1000")
    poll("it is over", lambda: late_answers(lab, **labels) > 0 or None)
    assert kind_counted(lab, "main_actor") == before + 1
    report = fetch(f"{lab.url}/debug/stalls").decode()
    assert report.count("blockMainActor(milliseconds:)") >= 1
    assert "did not answer for" in report


def test_tasks_that_sleep_are_live_until_they_are_woken(lab: RuntimeLab) -> None:
    before = lab.figures()
    lab.do("sleepers 1000")
    during = lab.figures()
    live, created = key("swift_tasks_live", []), key("swift_tasks_created_total", [])
    # The probes on their way are tasks too, at either moment.
    assert abs(during[live] - before[live] - 1000) <= 10
    assert during[created] - before[created] >= 1000
    lab.do("wake")
    poll("they are gone", lambda: lab.figure("swift_tasks_live") - before[live] <= 10 or None)
    assert lab.figure("swift_tasks_untracked_total") == 0


def test_jobs_are_counted_where_they_are_enqueued(lab: RuntimeLab) -> None:
    before = lab.figure("swift_jobs_enqueued_total")
    lab.do("jobs 10000")
    after = lab.figure("swift_jobs_enqueued_total")
    assert after - before >= 10_000


def test_objects_are_counted_by_their_type(lab: RuntimeLab) -> None:
    lab.do("objects 500000")
    lab.do("closures 500000")
    figures = lab.figures()
    types = {
        dict(labels)["type"]: value
        for (name, labels), value in figures.items()
        if name == "swift_allocated_bytes_total"
    }
    order = next(name for name in types if name.endswith("LabOrder"))
    # 64 MB are some 122 samples: 9 % is one standard deviation at most, and gaps vary less than that.
    assert types[order] == pytest.approx(500_000 * 128, rel=0.35)
    objects = figures[key("swift_allocated_objects_total", [("type", order)])]
    assert objects == pytest.approx(types[order] / 128, rel=0.01)
    assert any("closure" in name for name in types), sorted(types)


# Defaults


def test_by_default_what_costs_or_signals_is_off(tmp_path: Path) -> None:
    with RuntimeLab(log=tmp_path / "log", PROBE_DEFAULTS="1") as lab:
        lab.do("block-main 300")
        figures = lab.figures()
        names = {name for name, _ in figures}
        assert "swift_jobs_enqueued_total" in names
        assert not {n for n in names if n.startswith(("swift_tasks", "swift_allocated"))}
        assert "outrider_stalls_total" not in names
        # Nobody has taken SIGPROF (bit 26 of the mask of signals that are caught).
        caught = [
            line for line in (lab.proc / "status").read_text().splitlines() if "SigCgt" in line
        ]
        assert int(caught[0].split()[1], 16) >> 26 & 1 == 0
