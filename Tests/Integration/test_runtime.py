# SPDX-License-Identifier: Apache-2.0
"""Process metrics, compared with other sources: the kernel, ps, getrusage."""

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
    """A separate process for each test."""
    with RuntimeLab(log=tmp_path / "log") as process:
        yield process


@dataclass(frozen=True)
class ReadAgain:
    """A process with additional 64 MiB and a hundred threads, after its slow readings have run
    again."""

    lab: RuntimeLab
    samples: dict[Key, float]
    # The kernel's readings before and after: resident bytes, and the seconds that these threads
    # were ready to run but did not.
    resident: tuple[int, int]
    waited: tuple[float, float]


@pytest.fixture(scope="module", name="again")
def fixture_again(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadAgain]:
    """Shared by two tests that need the same readings."""
    with RuntimeLab(log=tmp_path_factory.mktemp("again") / "log") as lab:
        lab.do("touch 64")
        lab.do("threads 100")
        workers = [number for number, name in lab.threads().items() if name.startswith("lab-worker-")]
        assert len(workers) == 100

        def waited() -> float:
            return sum(int(lab.of_thread(worker, "schedstat").split()[1]) for worker in workers) / 1e9

        before = lab.status("VmRSS"), waited()
        samples = lab.after_reading("memory", "threads")
        after = lab.status("VmRSS"), waited()
        yield ReadAgain(lab, samples, (before[0], after[0]), (before[1], after[1]))


# CPU


def test_cpu_seconds_match_the_kernel(lab: RuntimeLab) -> None:
    def bracketed() -> tuple[float, float, float]:
        """The kernel's reading, the agent's, and the kernel's again."""
        return lab.cpu_seconds, lab.sample("process_cpu_seconds_total"), lab.cpu_seconds

    low_before, before, high_before = bracketed()
    lab.do("burn 500")
    low_after, after, high_after = bracketed()
    # It burns whole milliseconds.
    assert after - before >= 0.49
    # /proc rounds user and system time down to 10 ms each.
    assert low_after - high_before - 0.02 <= after - before <= high_after - low_before + 0.02
    samples = lab.samples()
    modes = [samples[key("process_cpu_mode_seconds_total", [("mode", m)])] for m in ("user", "system")]
    assert sum(modes) == pytest.approx(samples[key("process_cpu_seconds_total", [])], abs=0.000_01)


def test_cpu_and_page_faults_match_getrusage_of_the_ended_process(lab: RuntimeLab) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    lab.do("burn 300")
    low = lab.cpu_seconds
    shown = lab.samples()
    lab.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # The process's exit adds CPU time, which is short compared with what it burned.
    cpu = shown[key("process_cpu_seconds_total", [])]
    assert low <= cpu <= used + 0.000_01
    assert cpu > 0.5 * used
    faults = after.ru_minflt - before.ru_minflt
    minor = shown[key("process_page_faults_total", [("kind", "minor")])]
    assert 0.5 * faults < minor <= faults


def test_cpu_of_threads_adds_up_to_the_process(tmp_path: Path) -> None:
    # Before the agent starts, so that its first reading of the threads includes all of it.
    with RuntimeLab(log=tmp_path / "log", PROBE_FIRST="burn 500") as lab:
        # Threads are read in the background: a scrape during their first reading lacks them.
        samples = poll("the threads have been read", lambda: found if total(found := lab.samples(), "thread_cpu_seconds_total") else None)
        of_process = lab.sample("process_cpu_seconds_total")
    of_threads = total(samples, "thread_cpu_seconds_total")
    # Each thread's user and system time is rounded down to 10 ms; the first thread has used half a
    # second.
    assert 0.47 <= of_threads <= of_process
    waited = total(samples, "thread_run_queue_seconds_total")
    assert samples[key("process_run_queue_seconds_total", [])] == pytest.approx(waited)


def throttled(group: Path) -> tuple[int, int, float]:
    """The periods of a control group, the throttled ones, and the throttled time in seconds."""
    statistics = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    old = "throttled_time" in statistics
    seconds = int(statistics["throttled_time"]) / 1e9 if old else int(statistics["throttled_usec"]) / 1e6
    return int(statistics["nr_periods"]), int(statistics["nr_throttled"]), seconds


def test_a_cpu_limit_and_its_throttling_are_exposed(lab: RuntimeLab) -> None:
    with ExitStack() as limits:
        try:
            group = limits.enter_context(cpu_limit(lab.popen.pid, 0.05))
        except OSError as refusal:
            pytest.skip(f"this machine does not permit a control group: {refusal}")

        def is_throttled() -> bool | None:
            lab.do("burn 20")
            return throttled(group)[1] > 0 or None

        # Even on a busy machine, so small a limit is exceeded sooner or later.
        poll("the process is throttled", is_throttled, 120)
        low, samples, high = throttled(group), lab.samples(), throttled(group)
    assert samples[key("cgroup_cpu_limit_cores", [])] == pytest.approx(0.05)
    names = ["periods_total", "throttled_periods_total", "throttled_seconds_total"]
    for name, least, most in zip(names, low, high, strict=True):
        shown = samples[key(f"cgroup_cpu_{name}", [])]
        assert 0 < least <= shown + 0.000_001 and shown <= most + 0.000_001, name


# Memory


def test_64_touched_mebibytes_are_resident(lab: RuntimeLab) -> None:
    before = lab.samples()
    lab.do("touch 64")

    def sizes() -> dict[str, int]:
        """The readings of the kernel and of ps."""
        sizes = {field: lab.status(field) for field in ("VmRSS", "VmHWM", "VmSwap")}
        return sizes | {"rss": int(lab.ps("rss")) * 1024}

    low, after, high = sizes(), lab.samples(), sizes()
    for name in [
        key("process_resident_memory_bytes", []),
        key("process_resident_memory_kind_bytes", [("kind", "anonymous")]),
    ]:
        # The kernel batches its counts, a few pages for each CPU.
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
    assert lab.sample("process_resident_memory_bytes") < after[key("process_resident_memory_bytes", [])] - 60 * MEBIBYTE
    assert lab.sample("process_resident_memory_peak_bytes") >= low["VmHWM"] - 2 * MEBIBYTE


def test_parts_account_for_95_percent_of_resident_memory(again: ReadAgain) -> None:
    samples = again.samples
    parts = {
        dict(labels)["part"]: value
        for (name, labels), value in samples.items()
        if name == "process_memory_part_bytes"
    }
    assert 0.95 * min(again.resident) <= sum(parts.values()) <= 1.05 * max(again.resident)
    assert parts["rest"] <= 0.05 * sum(parts.values())
    # The 64 MiB are one block mapped by the allocator.
    assert samples[key("malloc_mmapped_bytes", [])] >= 64 * MEBIBYTE
    assert parts["live_heap"] >= 64 * MEBIBYTE
    allocator = {p: samples[key(f"malloc_{p}_bytes", [])] for p in ["arena", "mmapped"]}
    used = samples[key("malloc_in_use_bytes", [])] + samples[key("malloc_free_bytes", [])]
    assert used == pytest.approx(allocator["arena"] + allocator["mmapped"], rel=0.01)


def test_page_faults_and_context_switches_match_the_kernel(lab: RuntimeLab) -> None:
    lab.do("touch 8")
    low = (lab.stat(10), lab.stat(12))
    samples = lab.samples()
    high = (lab.stat(10), lab.stat(12))
    for kind, least, most in zip(["minor", "major"], low, high, strict=True):
        assert least <= samples[key("process_page_faults_total", [("kind", kind)])] <= most
    switches = {"voluntary": 0, "nonvoluntary": 0}
    for thread in lab.threads():
        for line in lab.of_thread(thread, "status").splitlines():
            for kind in switches:
                if line.startswith(f"{kind}_ctxt_switches:"):
                    switches[kind] += int(line.split()[1])
    samples = lab.samples()
    # Ended threads count as well, so it is at least the sum of the living ones.
    for kind, ours in [("voluntary", "voluntary"), ("nonvoluntary", "involuntary")]:
        assert samples[key("process_context_switches_total", [("kind", ours)])] >= switches[kind]


# Descriptors, threads, I/O


def test_a_thousand_open_files_are_counted(lab: RuntimeLab) -> None:
    def descriptors() -> int:
        return len(os.listdir(lab.proc / "fd"))

    # Files that the agent keeps open are opened by the first scrape. With kernels before 6.2 the
    # count is cached, and its age is exposed.
    before = lab.agreed(descriptors, "process_open_fds")
    assert lab.sample("process_open_fds_age_seconds") >= 0
    lab.do("open 1000")
    after = lab.agreed(descriptors, "process_open_fds")
    # A thread of the agent or of Dispatch may have a file open at either time.
    assert abs(after - before - 1000) <= 4
    limits = (lab.proc / "limits").read_text()
    soft = [line.split()[3] for line in limits.splitlines() if line.startswith("Max open files")]
    assert lab.sample("process_max_fds") == int(soft[0])


def test_a_hundred_threads_are_counted_under_their_name(again: ReadAgain) -> None:
    lab, samples = again.lab, again.samples
    # One more thread serves the scrape.
    assert lab.agreed(lambda: int(lab.ps("nlwp")), "process_threads", own=1) > 100
    assert samples[key("threads", [("thread", "lab-worker-N")])] == 100
    assert samples[key("threads", [("thread", "outrider-beat")])] == 1
    shown = samples[key("thread_run_queue_seconds_total", [("thread", "lab-worker-N")])]
    # Their waiting time before they were named belongs to another thread group, but always to the
    # process.
    low, high = again.waited
    assert 0 <= shown <= high + 0.000_001
    assert samples[key("process_run_queue_seconds_total", [])] >= low - 0.000_001


def test_reads_match_the_kernel(lab: RuntimeLab) -> None:
    def kernel(field: str) -> int:
        lines = (lab.proc / "io").read_text().splitlines()
        return int(dict(line.split(": ") for line in lines)[field])

    before = lab.sample("process_io_calls_total", direction="read")
    lab.do("read 500")
    low = kernel("syscr")
    shown = lab.sample("process_io_calls_total", direction="read")
    assert shown - before >= 500
    assert low <= shown <= kernel("syscr")
    # /dev/zero is not storage, but the kernel may have to read a page of the program again.
    low = kernel("read_bytes")
    shown = lab.sample("process_io_bytes_total", direction="read")
    assert low <= shown <= kernel("read_bytes")


def test_the_start_time_matches_the_kernel(lab: RuntimeLab) -> None:
    boot = [line for line in Path("/proc/stat").read_text().splitlines() if "btime" in line]
    start = int(boot[0].split()[1]) + lab.stat(22) / os.sysconf("SC_CLK_TCK")
    assert lab.sample("process_start_time_seconds") == pytest.approx(start, abs=1.01)
    assert lab.sample("process_start_time_seconds") > 0


def test_socket_metrics_match_the_network_namespace(lab: RuntimeLab) -> None:
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

    # Other processes in the namespace connect and disconnect all the time.
    assert lab.agreed(in_use, "sockets", state="tcp_in_use") > 0
    low, shown, high = overflows(), lab.sample("tcp_listen_overflows_total"), overflows()
    assert low <= shown <= high
