# SPDX-License-Identifier: Apache-2.0
"""An agent under adverse conditions: the probe as a server, with a client that keeps scraping
it."""

import contextlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from harness import poll
from newer_libraries import Libraries
from probe_programs import USUAL, ServingProbe
from raw import SECONDS, Client, get

OWN_THREADS = ("MHD-", "outrider-")
"""Prefixes of the names of the agent's threads; Dispatch starts and ends its own at any time."""
CALM_MALLOC = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
}
"""Makes the C library return freed memory, whichever thread freed it (mallopt(3)).

By default it keeps some in per-thread arenas, whose number depends on the scheduler.
"""
SAMPLE = re.compile(r"(?m)^outrider_http_requests_total\{([^}]*)\} ([0-9]+)$")
SWITCHES = re.compile(r"ctxt_switches:\s+(\d+)")
CUT = re.compile(r'(?m)^outrider_connections_cut_total\{reason="(\w+)"\} ([0-9]+)$')


@dataclass(frozen=True)
class Holdings:
    """The system resources that an agent holds."""

    descriptors: int
    """Open files, without those of Dispatch, which the kernel lists as anonymous inodes."""
    threads: int
    memory: int
    """Resident memory of the whole process, in bytes."""


class Serving(ServingProbe):
    """A process with an agent that executes commands, and must exit with status 0."""

    def __init__(
        self, log: Path, address: str = "127.0.0.1:0", libraries: Libraries = USUAL, **environment: str
    ) -> None:
        super().__init__(log=log, libraries=libraries, OUTRIDER_ADDRESS=address, **environment)
        self.log = log

    def __exit__(
        self, kind: type[BaseException] | None, _: object, __: TracebackType | None
    ) -> None:
        self.stop()
        # An earlier failure is more informative.
        if kind is None:
            assert self.popen.returncode == 0, f"it exited with an error and logged:\n{self.log_text}"

    def _line(self) -> str:
        return self.lines.read(seconds=SECONDS).decode("utf-8").strip()

    @property
    def log_text(self) -> str:
        """Its log so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def order(self, command: str) -> None:
        """Sends a command without waiting for it."""
        self.send_line(command)

    def command(self, command: str) -> str:
        """Sends a command and returns the process's reply."""
        self.order(command)
        return self._line()

    def await_stopped(self) -> float:
        """Waits for a stop ordered before, and returns its duration in seconds."""
        word, seconds = self._line().split()
        assert word == "stopped"
        return float(seconds)

    def stop_agent(self) -> float:
        """Stops the agent, and returns the duration in seconds."""
        self.order("stop")
        return self.await_stopped()

    @property
    def proc(self) -> Path:
        """Its directory in procfs."""
        return Path(f"/proc/{self.popen.pid}")

    def files(self) -> list[str]:
        """The targets of its descriptors, as the kernel prints them: `socket:[123]`, or a path."""
        found: list[str] = []
        for descriptor in (self.proc / "fd").iterdir():
            # Some have been closed since.
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(descriptor))
        return found

    def sockets(self) -> int:
        """The number of its sockets: the listening one, and one for each connection."""
        return sum(name.startswith("socket:") for name in self.files())

    def threads(self) -> dict[str, str]:
        """The status of each of its threads (proc_pid_status(5)), by thread ID."""
        found: dict[str, str] = {}
        for thread in (self.proc / "task").iterdir():
            # Some have ended since.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found[thread.name] = (thread / "status").read_text()
        return found

    def rest(self) -> None:
        """Waits until the process is idle: each of its threads sleeps.

        Two readings find each thread asleep, and no thread has run between them. So all slept at
        the same time, and everything sent before has been read.
        """

        def look() -> dict[str, tuple[str, list[str]]]:
            return {
                number: (status.partition("State:")[2][:2].strip(), SWITCHES.findall(status))
                for number, status in self.threads().items()
            }

        def attempt() -> bool | None:
            first, second = look(), look()
            return first == second and all(state == "S" for state, _ in first.values()) or None

        poll("all of its threads sleep", attempt, SECONDS)

    def holdings(self) -> Holdings:
        """Its current resources, read from the system, since the process may be unable to read them
        itself."""
        names = [status.partition("Name:")[2].lstrip() for status in self.threads().values()]
        pages = int((self.proc / "statm").read_text().split()[1])
        return Holdings(
            descriptors=sum(not name.startswith("anon_inode:") for name in self.files()),
            threads=sum(name.startswith(OWN_THREADS) for name in names),
            memory=pages * os.sysconf("SC_PAGE_SIZE"),
        )

    def rested_holdings(self) -> Holdings:
        """Its resources at rest, after everything lazy has been initialized."""
        scrape(self.url)
        self.rest()
        return self.holdings()

    def await_return_to(self, before: Holdings, memory: int) -> None:
        """Waits until it holds no more than before, plus at most `memory` bytes."""
        last: list[Holdings] = []

        def attempt() -> bool | None:
            last[:] = [now := self.holdings()]
            is_back = now.descriptors <= before.descriptors and now.threads <= before.threads
            return is_back and now.memory <= before.memory + memory or None

        try:
            poll("its descriptors, threads and memory return to their previous values", attempt, SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}: {before} became {last}") from None

    def answered(self) -> dict[tuple[str, int], int]:
        """The responses that it has counted, by page and status."""
        counts: dict[tuple[str, int], int] = {}
        for labels, value in SAMPLE.findall(scrape(self.url)):
            pairs = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            counts[pairs["page"], int(pairs["code"])] = int(value)
        return counts

    def refusals(self) -> int:
        """The number of requests refused before they reached a page."""
        return sum(count for (page, _), count in self.answered().items() if page == "_REFUSED")

    def cuts(self, reason: str) -> int:
        """The number of connections cut for a reason."""
        return sum(int(count) for found, count in CUT.findall(scrape(self.url)) if found == reason)


def scrape(address: str, seconds: float = SECONDS) -> str:
    """A scrape on its own connection; fails if a Prometheus would miss it."""
    with Client(address) as client:
        response = client.exchange(get("/metrics", "Connection: close"), seconds=seconds)
    assert response.status == 200, f"a scrape got status {response.status}"
    text = response.body.decode("utf-8")
    assert "\noutrider_build_info" in text and text.endswith("\n"), "a scrape was cut"
    return text


def observed(fact: str, holds: Callable[[], bool], seconds: float) -> None:
    """Checks for some seconds that a condition keeps holding."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert holds(), f"no longer: {fact}"
        time.sleep(0.02)
