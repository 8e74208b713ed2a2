# SPDX-License-Identifier: Apache-2.0
"""A process that does as it is told and shows itself, and what the system says of it to others."""

import http.client
import os
import re
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from exposition import Key, figures_in, key
from harness import fetch, poll, system_binary
from probing import ProbeAgent


class RuntimeLab(ProbeAgent):
    """The probe with an agent that has everything of the runtime switched on (RuntimeLab.swift)."""

    def __init__(self, *, log: Path | None = None, **environment: str) -> None:
        super().__init__("runtime", log=log, **environment)

    def do(self, order: str) -> None:
        """Has it do something, and waits until it is done, or begun where the order says so."""
        self.say(order)
        # Some use much of a processor, of which a busy machine gives them little.
        answer = self.lines.read(600)
        assert answer == b"done\n", answer

    def figures(self) -> dict[Key, float]:
        """The samples of this moment."""
        return figures_in(fetch(f"{self.url}/metrics", timeout=60))

    def figure(self, name: str, **labels: str) -> float:
        """One of them, which has to be there."""
        found = self.figures()
        wanted = key(name, labels.items())
        assert wanted in found, f"{wanted} is not among {sorted(k[0] for k in found)}"
        return found[wanted]

    def after_reading(self, *readings: str) -> dict[Key, float]:
        """The samples once what is read beside the scrapes has been read again, each from start to end."""
        ages = [key("outrider_reading_age_seconds", [("reading", reading)]) for reading in readings]
        costs = [key("outrider_reading_duration_seconds", [("reading", reading)]) for reading in readings]
        begun, known = time.monotonic(), self.figures()

        def attempt() -> dict[Key, float] | None:
            asked, found = time.monotonic(), self.figures()
            # It ended at the time of the question less its age, or later.
            began = [asked - found.get(a, asked) - found.get(c, 0.0) for a, c in zip(ages, costs, strict=True)]
            return found if min(began) > begun else None

        # A reading that took long, as on a busy machine, is followed by a pause of a thousand times that.
        longest = max(known.get(cost, 0.0) for cost in costs)
        return poll(f"{', '.join(readings)} were read again", attempt, 120 + 2_000 * longest)

    @contextmanager
    def connection(self) -> Iterator[Callable[[], dict[Key, float]]]:
        """Scrapes over one connection, which is there before the first of them and after the last."""
        target = urllib.parse.urlsplit(self.url)
        with closing(http.client.HTTPConnection(target.hostname, target.port, timeout=60)) as connection:

            def scrape() -> dict[Key, float]:
                try:
                    connection.request("GET", "/metrics")
                    return figures_in(connection.getresponse().read())
                except (OSError, http.client.HTTPException):
                    # Closed; the next attempt opens it again.
                    connection.close()
                    raise

            poll("the agent responds", scrape)
            yield scrape

    def agreed(self, kernel: Callable[[], int], name: str, *, own: int = 0, **labels: str) -> int:
        """A value on which the kernel and the agent agree, while it does not change between their readings.

        Other threads and processes may come and go at any other moment. What the agent takes for the time of the
        scrape alone, `own` at most, is in its value and not in the kernel's.
        """
        wanted, said = key(name, labels.items()), ""

        def attempt(scrape: Callable[[], dict[Key, float]]) -> int | None:
            nonlocal said
            before, shown, after = kernel(), scrape()[wanted], kernel()
            said = f"the kernel says {before}, then the agent {shown}, then the kernel {after}"
            return after if before == after and 0 <= shown - after <= own else None

        with self.connection() as scrape:
            try:
                return poll(f"{name} is the kernel's", lambda: attempt(scrape), 60)
            except AssertionError as problem:
                raise AssertionError(f"{problem}; {said}") from None

    # What others say of it.

    @property
    def proc(self) -> Path:
        """Its directory in procfs."""
        return Path(f"/proc/{self.popen.pid}")

    def ps(self, column: str) -> str:
        """What ps says of it."""
        shown = subprocess.run(
            [system_binary("ps"), "-o", f"{column}=", "-p", str(self.popen.pid)],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return shown.stdout.strip()

    def status(self, field: str) -> int:
        """A number of /proc/PID/status; sizes in bytes."""
        line = re.findall(rf"(?m)^{field}:\s+(\d+)( kB)?$", (self.proc / "status").read_text())
        number, unit = line[0]
        return int(number) * (1024 if unit else 1)

    def threads(self) -> dict[int, str]:
        """Its threads by number, with their names."""
        names = {int(path.name): contents(path / "comm") for path in (self.proc / "task").iterdir()}
        return {number: name.strip() for number, name in names.items() if name}

    def of_thread(self, number: int, file: str) -> str:
        """A file of /proc/PID/task/TID; nothing if the thread has ended."""
        return contents(self.proc / "task" / str(number) / file)

    def stat(self, place: int) -> int:
        """A field of /proc/PID/stat by its number in proc_pid_stat(5)."""
        return int((self.proc / "stat").read_text().rpartition(")")[2].split()[place - 3])

    @property
    def cpu_seconds(self) -> float:
        """CPU time, in user and kernel mode."""
        return (self.stat(14) + self.stat(15)) / os.sysconf("SC_CLK_TCK")


def contents(path: Path) -> str:
    """The text of a file of procfs; nothing if what it is about has ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def total(figures: dict[Key, float], name: str) -> float:
    """The sum of a metric over its labels."""
    return sum(value for (found, _), value in figures.items() if found == name)


@contextmanager
def control_group(pid: int, controller: str, v1: dict[str, str], v2: dict[str, str]) -> Iterator[Path]:
    """A control group of its own for a process, with these settings, as the version that the machine has calls them.

    Raises OSError where this machine allows none.
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
    """A control group that may use so much of the processors; OSError where there can be none."""
    quota, period = str(int(cores * 100_000)), "100000"
    v1 = {"cpu.cfs_period_us": period, "cpu.cfs_quota_us": quota}
    return control_group(pid, "cpu", v1, {"cpu.max": f"{quota} {period}"})


def memory_limit(pid: int, size: int) -> AbstractContextManager[Path]:
    """A control group that may have so many bytes, none of them swapped; OSError where there can be none."""
    return control_group(pid, "memory", {"memory.limit_in_bytes": str(size)}, {"memory.max": str(size)})
