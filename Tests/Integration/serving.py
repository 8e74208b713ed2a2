# SPDX-License-Identifier: Apache-2.0
"""An agent that is given a hard time: the probe as a server, and somebody who keeps scraping it."""

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
from probing import USUAL, ServingProbe
from raw import SECONDS, Client, get

OWN_THREADS = ("MHD-", "outrider-")
"""How the names of the agent's threads begin; those of Dispatch come and go as it likes."""
CALM_MALLOC = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
}
"""A C library that gives back what is freed, whichever threads freed it (mallopt(3)).

By default it keeps some in an arena for each of them, and how many there are is up to the scheduler.
"""
SAMPLE = re.compile(r"(?m)^outrider_http_requests_total\{([^}]*)\} ([0-9]+)$")
SWITCHES = re.compile(r"ctxt_switches:\s+(\d+)")
CUT = re.compile(r'(?m)^outrider_connections_cut_total\{reason="(\w+)"\} ([0-9]+)$')


@dataclass(frozen=True)
class Holdings:
    """What an agent has of the system."""

    descriptors: int
    """Open files, without those of Dispatch, which the kernel calls anonymous inodes."""
    threads: int
    memory: int
    """Resident in the whole process, in bytes."""


class Serving(ServingProbe):
    """A process with an agent that takes orders, and must end well."""

    def __init__(
        self, log: Path, address: str = "127.0.0.1:0", libraries: Libraries = USUAL, **environment: str
    ) -> None:
        super().__init__(log=log, libraries=libraries, OUTRIDER_ADDRESS=address, **environment)
        self.log = log

    def __exit__(
        self, kind: type[BaseException] | None, _: object, __: TracebackType | None
    ) -> None:
        self.stop()
        # Another failure says more.
        if kind is None:
            assert self.popen.returncode == 0, f"it ended badly and said:\n{self.said}"

    def _line(self) -> str:
        return self.lines.read(seconds=SECONDS).decode("utf-8").strip()

    @property
    def said(self) -> str:
        """What it has logged so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def order(self, command: str) -> None:
        """Gives an order, and does not wait until it is carried out."""
        self.say(command)

    def tell(self, command: str) -> str:
        """Gives an order and returns what the process answers."""
        self.order(command)
        return self._line()

    def await_stopped(self) -> float:
        """The seconds that the stop took which was ordered before."""
        word, seconds = self._line().split()
        assert word == "stopped"
        return float(seconds)

    def stop_agent(self) -> float:
        """Stops the agent, and returns the seconds it took."""
        self.order("stop")
        return self.await_stopped()

    @property
    def proc(self) -> Path:
        """Its directory in procfs."""
        return Path(f"/proc/{self.popen.pid}")

    def files(self) -> list[str]:
        """What its descriptors are, as the kernel spells it: `socket:[123]`, or a path."""
        found: list[str] = []
        for descriptor in (self.proc / "fd").iterdir():
            # Some are closed by now.
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(descriptor))
        return found

    def sockets(self) -> int:
        """How many sockets it has: one that listens, and one for each connection."""
        return sum(name.startswith("socket:") for name in self.files())

    def threads(self) -> dict[str, str]:
        """The status of each of its threads (proc_pid_status(5)), by number."""
        found: dict[str, str] = {}
        for thread in (self.proc / "task").iterdir():
            # Some have ended by now.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found[thread.name] = (thread / "status").read_text()
        return found

    def rest(self) -> None:
        """Waits until it has done all that it can do: each of its threads sleeps.

        Two looks find each of them asleep, and none has run between them. So they all slept at one
        moment, and what was sent before has been read.
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
        """What it has at this moment, as the system sees it: it may be unable to look itself."""
        names = [status.partition("Name:")[2].lstrip() for status in self.threads().values()]
        pages = int((self.proc / "statm").read_text().split()[1])
        return Holdings(
            descriptors=sum(not name.startswith("anon_inode:") for name in self.files()),
            threads=sum(name.startswith(OWN_THREADS) for name in names),
            memory=pages * os.sysconf("SC_PAGE_SIZE"),
        )

    def rested_holdings(self) -> Holdings:
        """What it has once nothing comes or goes any more: with its lazy beginnings behind it."""
        scrape(self.url)
        self.rest()
        return self.holdings()

    def await_return_to(self, before: Holdings, memory: int) -> None:
        """Waits until it has no more than before, and at most so many more bytes of memory."""
        last: list[Holdings] = []

        def attempt() -> bool | None:
            last[:] = [now := self.holdings()]
            is_back = now.descriptors <= before.descriptors and now.threads <= before.threads
            return is_back and now.memory <= before.memory + memory or None

        try:
            poll("its descriptors, threads and memory are back", attempt, SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}: {before} became {last}") from None

    def answered(self) -> dict[tuple[str, int], int]:
        """How many answers it has counted, by page and status."""
        counts: dict[tuple[str, int], int] = {}
        for labels, value in SAMPLE.findall(scrape(self.url)):
            pairs = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            counts[pairs["page"], int(pairs["code"])] = int(value)
        return counts

    def refusals(self) -> int:
        """How many requests it has refused before a page saw them."""
        return sum(count for (page, _), count in self.answered().items() if page == "_REFUSED")

    def cuts(self, reason: str) -> int:
        """How many connections it has ended for a reason."""
        return sum(int(count) for found, count in CUT.findall(scrape(self.url)) if found == reason)


def scrape(address: str, seconds: float = SECONDS) -> str:
    """A scrape on a connection of its own, as Prometheus would lose it or not."""
    with Client(address) as client:
        answer = client.ask(get("/metrics", "Connection: close"), seconds=seconds)
    assert answer.status == 200, f"a scrape was answered with {answer.status}"
    text = answer.body.decode("utf-8")
    assert "\noutrider_build_info" in text and text.endswith("\n"), "a scrape was cut"
    return text


def observed(fact: str, holds: Callable[[], bool], seconds: float) -> None:
    """Watches for some seconds that something stays as it is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert holds(), f"no longer: {fact}"
        time.sleep(0.02)
