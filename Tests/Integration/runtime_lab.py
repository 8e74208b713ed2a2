# SPDX-License-Identifier: Apache-2.0
"""A process that allocates, blocks and computes on command, and the kernel's own readings of it."""

import http.client
import os
import re
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from exposition import Key, parse_samples, key
from harness import fetch, poll, system_binary
from probe_programs import ProbeAgent


class RuntimeLab(ProbeAgent):
    """The probe with an agent and all runtime metrics enabled (RuntimeLab.swift)."""

    def __init__(self, *, log: Path | None = None, **environment: str) -> None:
        super().__init__("runtime", log=log, **environment)

    def do(self, order: str) -> None:
        """Runs a command, and waits until it is done, or started if the command says so."""
        self.send_line(order)
        # Some need much CPU time, which a busy machine takes long to give.
        response = self.lines.read(600)
        assert response == b"done\n", response

    def samples(self) -> dict[Key, float]:
        """The current samples."""
        return parse_samples(fetch(f"{self.url}/metrics", timeout=60))

    def sample(self, name: str, **labels: str) -> float:
        """The value of one sample, which must be present."""
        found = self.samples()
        wanted = key(name, labels.items())
        assert wanted in found, f"{wanted} is missing from {sorted(k[0] for k in found)}"
        return found[wanted]

    def after_reading(self, *readings: str) -> dict[Key, float]:
        """The samples once the given background readings have each run from start to end."""
        ages = [key("outrider_reading_age_seconds", [("reading", reading)]) for reading in readings]
        costs = [key("outrider_reading_duration_seconds", [("reading", reading)]) for reading in readings]
        begun, known = time.monotonic(), self.samples()

        def attempt() -> dict[Key, float] | None:
            asked, found = time.monotonic(), self.samples()
            # The reading ended at the time of the request minus its age, or later.
            began = [asked - found.get(a, asked) - found.get(c, 0.0) for a, c in zip(ages, costs, strict=True)]
            return found if min(began) > begun else None

        # After a long reading, as on a busy machine, the agent pauses for a thousand times its
        # duration.
        longest = max(known.get(cost, 0.0) for cost in costs)
        return poll(f"{', '.join(readings)} have run again", attempt, 120 + 2_000 * longest)

    @contextmanager
    def connection(self) -> Iterator[Callable[[], dict[Key, float]]]:
        """Scrapes over one connection, opened before the first and closed after the last."""
        target = urllib.parse.urlsplit(self.url)
        with closing(http.client.HTTPConnection(target.hostname, target.port, timeout=60)) as connection:

            def scrape() -> dict[Key, float]:
                try:
                    connection.request("GET", "/metrics")
                    return parse_samples(connection.getresponse().read())
                except (OSError, http.client.HTTPException):
                    # Closed; the next attempt opens it again.
                    connection.close()
                    raise

            poll("the agent responds", scrape)
            yield scrape

    def agreed(self, kernel: Callable[[], int], name: str, *, own: int = 0, **labels: str) -> int:
        """A value on which the kernel and the agent agree, and which does not change between their
        readings.

        Other threads and processes may come and go at any other time. `own` is the most that the
        agent itself adds during a scrape, and that the kernel's reading lacks.
        """
        wanted, readings_text = key(name, labels.items()), ""

        def attempt(scrape: Callable[[], dict[Key, float]]) -> int | None:
            nonlocal readings_text
            before, shown, after = kernel(), scrape()[wanted], kernel()
            readings_text = f"kernel: {before}, then agent: {shown}, then kernel: {after}"
            return after if before == after and 0 <= shown - after <= own else None

        with self.connection() as scrape:
            try:
                return poll(f"{name} equals the kernel's reading", lambda: attempt(scrape), 60)
            except AssertionError as problem:
                raise AssertionError(f"{problem}; {readings_text}") from None

    # Readings from other sources.

    @property
    def proc(self) -> Path:
        """Its directory in procfs."""
        return Path(f"/proc/{self.popen.pid}")

    def ps(self, column: str) -> str:
        """A column of ps."""
        shown = subprocess.run(
            [system_binary("ps"), "-o", f"{column}=", "-p", str(self.popen.pid)],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return shown.stdout.strip()

    def threads(self) -> dict[int, str]:
        """The names of its threads, by thread ID."""
        names = {int(path.name): contents(path / "comm") for path in (self.proc / "task").iterdir()}
        return {number: name.strip() for number, name in names.items() if name}

    def of_thread(self, number: int, file: str) -> str:
        """A file of /proc/PID/task/TID; nothing if the thread has ended."""
        return contents(self.proc / "task" / str(number) / file)

    def stat(self, index: int) -> int:
        """A field of /proc/PID/stat, numbered as in proc_pid_stat(5)."""
        return int((self.proc / "stat").read_text().rpartition(")")[2].split()[index - 3])

    @property
    def cpu_seconds(self) -> float:
        """CPU time in user and kernel mode."""
        return (self.stat(14) + self.stat(15)) / os.sysconf("SC_CLK_TCK")


def contents(path: Path) -> str:
    """The text of a procfs file; empty if the process or thread has ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def total(samples: dict[Key, float], name: str) -> float:
    """The sum of a metric over its labels."""
    return sum(value for (found, _), value in samples.items() if found == name)


@contextmanager
def control_group(pid: int, controller: str, v1: dict[str, str], v2: dict[str, str]) -> Iterator[Path]:
    """Puts a process into its own control group with these settings, for cgroup v1 or v2.

    Raises OSError if this machine does not permit it.
    """
    old = Path("/sys/fs/cgroup") / controller
    base = old if (old / next(iter(v1))).exists() else Path("/sys/fs/cgroup")
    group = base / f"outrider-test-{pid}"
    group.mkdir()
    try:
        for name, value in (v1 if base == old else v2).items():
            (group / name).write_text(value)
        (group / "cgroup.procs").write_text(str(pid))
        yield group
    finally:
        if Path(f"/proc/{pid}").exists():
            (base / "cgroup.procs").write_text(str(pid))
        poll("the group is empty", lambda: None if (group / "cgroup.procs").read_text() else True)
        group.rmdir()


def cpu_limit(pid: int, cores: float) -> AbstractContextManager[Path]:
    """Limits the CPU time of a process, in cores; raises OSError if that is not permitted."""
    quota, period = str(int(cores * 100_000)), "100000"
    v1 = {"cpu.cfs_period_us": period, "cpu.cfs_quota_us": quota}
    return control_group(pid, "cpu", v1, {"cpu.max": f"{quota} {period}"})


def memory_limit(pid: int, size: int) -> AbstractContextManager[Path]:
    """Limits the memory of a process in bytes, without swap; raises OSError if that is not
    permitted."""
    return control_group(pid, "memory", {"memory.limit_in_bytes": str(size)}, {"memory.max": str(size)})
