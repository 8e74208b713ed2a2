# SPDX-License-Identifier: Apache-2.0
"""Each figure of the process, against somebody else who knows it: the kernel, ps, getrusage."""

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from exposition import Key, key
from harness import poll
from runtime_lab import RuntimeLab, cpu_limit, total

pytestmark = pytest.mark.wait

MEBIBYTE = 1 << 20


@pytest.fixture(name="lab")
def fixture_lab(tmp_path: Path) -> Iterator[RuntimeLab]:
    """A process of its own for each test."""
    with RuntimeLab(log=tmp_path / "log") as process:
        yield process


@dataclass(frozen=True)
class ReadAgain:
    """A process with 64 MiB and a hundred threads more, after everything was read again that takes long to read."""

    lab: RuntimeLab
    figures: dict[Key, float]
    # What the kernel said before and after: the resident bytes, and the seconds that these threads were ready
    # to run and did not.
    resident: tuple[int, int]
    waited: tuple[float, float]


@pytest.fixture(scope="module", name="again")
def fixture_again(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadAgain]:
    """Two tests wait for the same readings."""
    with RuntimeLab(log=tmp_path_factory.mktemp("again") / "log") as lab:
        lab.do("touch 64")
        lab.do("threads 100")
        workers = [number for number, name in lab.threads().items() if name.startswith("lab-worker-")]
        assert len(workers) == 100

        def waited() -> float:
            return sum(int(lab.of_thread(worker, "schedstat").split()[1]) for worker in workers) / 1e9

        before = lab.status("VmRSS"), waited()
        figures = lab.after_reading("memory", "threads")
        after = lab.status("VmRSS"), waited()
        yield ReadAgain(lab, figures, (before[0], after[0]), (before[1], after[1]))


# CPU


def test_half_a_second_of_cpu_is_half_a_second(lab: RuntimeLab) -> None:
    def bracketed() -> tuple[float, float, float]:
        """What the kernel says, then the agent, then the kernel."""
        return lab.cpu_seconds, lab.figure("process_cpu_seconds_total"), lab.cpu_seconds

    low_before, before, high_before = bracketed()
    lab.do("burn 500")
    low_after, after, high_after = bracketed()
    # It burns whole milliseconds.
    assert after - before >= 0.49
    # /proc rounds user and system time down to a hundredth each.
    assert low_after - high_before - 0.02 <= after - before <= high_after - low_before + 0.02
    figures = lab.figures()
    modes = [figures[key("process_cpu_mode_seconds_total", [("mode", m)])] for m in ("user", "system")]
    assert sum(modes) == pytest.approx(figures[key("process_cpu_seconds_total", [])], abs=0.000_01)


def test_getrusage_of_a_process_that_has_ended_agrees(lab: RuntimeLab) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    lab.do("burn 300")
    low = lab.cpu_seconds
    shown = lab.figures()
    lab.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # Its last moments come on top; they are short beside what it burned.
    cpu = shown[key("process_cpu_seconds_total", [])]
    assert low <= cpu <= used + 0.000_01
    assert cpu > 0.5 * used
    faults = after.ru_minflt - before.ru_minflt
    minor = shown[key("process_page_faults_total", [("kind", "minor")])]
    assert 0.5 * faults < minor <= faults


def test_threads_account_for_the_cpu_of_the_process(tmp_path: Path) -> None:
    # Before the agent starts, so that its first look at the threads finds all of it.
    with RuntimeLab(log=tmp_path / "log", PROBE_FIRST="burn 500") as lab:
        # The threads are read beside the scrapes: a scrape that comes during their first reading has none of them.
        figures = poll("the threads were read", lambda: found if total(found := lab.figures(), "thread_cpu_seconds_total") else None)
        of_process = lab.figure("process_cpu_seconds_total")
    of_threads = total(figures, "thread_cpu_seconds_total")
    # Each thread's user and system time are rounded down to a hundredth; the first thread has used half a second.
    assert 0.47 <= of_threads <= of_process
    waited = total(figures, "thread_run_queue_seconds_total")
    assert figures[key("process_run_queue_seconds_total", [])] == pytest.approx(waited)


def throttled(group: Path) -> tuple[int, int, float]:
    """The periods of a control group, those in which it was held back, and for how many seconds."""
    said = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    old = "throttled_time" in said
    seconds = int(said["throttled_time"]) / 1e9 if old else int(said["throttled_usec"]) / 1e6
    return int(said["nr_periods"]), int(said["nr_throttled"]), seconds


def test_a_cpu_limit_shows_itself_and_how_it_holds_back(lab: RuntimeLab) -> None:
    with ExitStack() as limits:
        try:
            group = limits.enter_context(cpu_limit(lab.popen.pid, 0.05))
        except OSError as refusal:
            pytest.skip(f"no control group of one's own on this machine: {refusal}")

        def is_held_back() -> bool | None:
            lab.do("burn 20")
            return throttled(group)[1] > 0 or None

        # So small a limit is met on a busy machine too, sooner or later.
        poll("it is held back", is_held_back, 120)
        low, figures, high = throttled(group), lab.figures(), throttled(group)
    assert figures[key("cgroup_cpu_limit_cores", [])] == pytest.approx(0.05)
    names = ["periods_total", "throttled_periods_total", "throttled_seconds_total"]
    for name, least, most in zip(names, low, high, strict=True):
        shown = figures[key(f"cgroup_cpu_{name}", [])]
        assert 0 < least <= shown + 0.000_001 and shown <= most + 0.000_001, name


# Memory


def test_64_mebibytes_that_are_touched_are_resident(lab: RuntimeLab) -> None:
    before = lab.figures()
    lab.do("touch 64")

    def sizes() -> dict[str, int]:
        """What the kernel says, and ps."""
        said = {field: lab.status(field) for field in ("VmRSS", "VmHWM", "VmSwap")}
        return said | {"rss": int(lab.ps("rss")) * 1024}

    low, after, high = sizes(), lab.figures(), sizes()
    for name in [
        key("process_resident_memory_bytes", []),
        key("process_resident_memory_kind_bytes", [("kind", "anonymous")]),
    ]:
        # The kernel gathers its counts, a few pages for each processor.
        assert 63 * MEBIBYTE <= after[name] - before[name] < 72 * MEBIBYTE
    for name, field, error in [
        ("process_resident_memory_bytes", "VmRSS", 2 * MEBIBYTE),
        ("process_resident_memory_bytes", "rss", 2 * MEBIBYTE),
        ("process_resident_memory_peak_bytes", "VmHWM", 2 * MEBIBYTE),
        ("process_swap_bytes", "VmSwap", 0),
    ]:
        least, most = sorted([low[field], high[field]])
        assert least - error <= after[key(name, [])] <= most + error, (name, field)
    # Threads come and go, each with a stack.
    lab.agreed(lambda: int(lab.ps("vsz")) * 1024, "process_virtual_memory_bytes")
    lab.do("release")
    assert lab.figure("process_resident_memory_bytes") < after[key("process_resident_memory_bytes", [])] - 60 * MEBIBYTE
    assert lab.figure("process_resident_memory_peak_bytes") >= low["VmHWM"] - 2 * MEBIBYTE


def test_resident_memory_has_names_for_95_percent_of_it(again: ReadAgain) -> None:
    figures = again.figures
    parts = {
        dict(labels)["part"]: value
        for (name, labels), value in figures.items()
        if name == "process_memory_part_bytes"
    }
    assert 0.95 * min(again.resident) <= sum(parts.values()) <= 1.05 * max(again.resident)
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
    for thread in lab.threads():
        for line in lab.of_thread(thread, "status").splitlines():
            for kind in switches:
                if line.startswith(f"{kind}_ctxt_switches:"):
                    switches[kind] += int(line.split()[1])
    figures = lab.figures()
    # Threads that have ended count too, so it is at least what the living ones say.
    for kind, ours in [("voluntary", "voluntary"), ("nonvoluntary", "involuntary")]:
        assert figures[key("process_context_switches_total", [("kind", ours)])] >= switches[kind]


# Descriptors, threads, I/O


def test_a_thousand_files_are_a_thousand_descriptors(lab: RuntimeLab) -> None:
    def descriptors() -> int:
        return len(os.listdir(lab.proc / "fd"))

    # The files that are kept open are so from the first scrape on. Kernels before 6.2 do not tell at once:
    # the count is as old as it says.
    before = lab.agreed(descriptors, "process_open_fds")
    assert lab.figure("process_open_fds_age_seconds") >= 0
    lab.do("open 1000")
    after = lab.agreed(descriptors, "process_open_fds")
    # At either moment a thread of the agent or of Dispatch may have a file open that it reads.
    assert abs(after - before - 1000) <= 4
    limits = (lab.proc / "limits").read_text()
    soft = [line.split()[3] for line in limits.splitlines() if line.startswith("Max open files")]
    assert lab.figure("process_max_fds") == int(soft[0])


def test_a_hundred_threads_are_counted_and_have_a_name(again: ReadAgain) -> None:
    lab, figures = again.lab, again.figures
    # One responds to the scrape.
    assert lab.agreed(lambda: int(lab.ps("nlwp")), "process_threads", own=1) > 100
    assert figures[key("threads", [("thread", "lab-worker-N")])] == 100
    assert figures[key("threads", [("thread", "outrider-beat")])] == 1
    shown = figures[key("thread_run_queue_seconds_total", [("thread", "lab-worker-N")])]
    # What they waited before they had their names is another group's, and the process' in any case.
    low, high = again.waited
    assert 0 <= shown <= high + 0.000_001
    assert figures[key("process_run_queue_seconds_total", [])] >= low - 0.000_001


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
    # /dev/zero is no storage, but the machine may have to read a page of the program again.
    low = kernel("read_bytes")
    shown = lab.figure("process_io_bytes_total", direction="read")
    assert low <= shown <= kernel("read_bytes")


def test_the_start_is_when_ps_says_it_was(lab: RuntimeLab) -> None:
    boot = [line for line in Path("/proc/stat").read_text().splitlines() if "btime" in line]
    start = int(boot[0].split()[1]) + lab.stat(22) / os.sysconf("SC_CLK_TCK")
    assert lab.figure("process_start_time_seconds") == pytest.approx(start, abs=1.01)
    assert lab.figure("process_start_time_seconds") > 0


def test_the_network_is_the_namespaces(lab: RuntimeLab) -> None:
    def in_use() -> int:
        lines = (lab.proc / "net/sockstat").read_text().splitlines()
        tcp = next(line for line in lines if line.startswith("TCP:")).split()[1:]
        return int(dict(zip(tcp[::2], tcp[1::2], strict=True))["inuse"])

    def overflows() -> int:
        names, values = [
            line.split() for line in (lab.proc / "net/netstat").read_text().splitlines()
            if line.startswith("TcpExt:")
        ]
        return int(dict(zip(names, values, strict=True))["ListenOverflows"])

    # Other processes of the namespace connect and disconnect all the time.
    assert lab.agreed(in_use, "sockets", state="tcp_in_use") > 0
    low, shown, high = overflows(), lab.figure("tcp_listen_overflows_total"), overflows()
    assert low <= shown <= high
