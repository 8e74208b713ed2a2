# SPDX-License-Identifier: Apache-2.0
"""Hosts that give a process little: it runs as it would without us, and shows what can be seen from there."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from exposition import Exposition, Key, key, samples_of
from fleet_lab import Customer, Run
from harness import (
    Lines, Quickstart, clean_environment, fetch, host_binary, poll, promtool_findings, system_binary,
)
from runtime_lab import memory_limit, total

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
"""Another user, who may do nothing that needs a privilege and can get none."""
HERE = Path(__file__).parent
MAPPED = 32 << 20
"""What the program holds, by a function of this name."""
HOLDER = "holdMemory()"


def elsewhere(script: str) -> list[str]:
    """Begins a command in a view of the file system of its own, which a script changes."""
    return ["unshare", "--mount", "sh", "-ec", f'{script}; exec "$@"', "sh"]


@dataclass(frozen=True)
class Host:
    """How a program is begun, and what can be seen of it then."""

    name: str
    before: list[str]
    absent: str = ""
    """Which metrics cannot be had there, as a pattern; all others have to be there."""
    failures: int = 0
    """How many sources are counted as failed."""
    warnings: tuple[str, ...] = ()
    """What the agent says of it."""
    names_functions: bool = True
    is_stripped: bool = False


READ_ONLY = elsewhere("mount --bind / / && mount -o remount,ro,bind /")
HIDDEN_PROC = elsewhere("mount -t tmpfs none /proc")
PARTIAL_PROC = elsewhere("mount -t proc -o hidepid=2,subset=pid none /proc")
REFUSED = "perf_event_open,timer_create,timer_settime,setitimer,getitimer,rseq,membarrier,process_vm_readv,ptrace,userfaultfd,bpf"
OF_PROC = r"threads|(thread|process|cgroup|swift_executor|tcp|udp|outrider_reading)_.*|.*sockets.*"
HOSTS = [
    Host("usual", []),
    Host("a stripped program", [], is_stripped=True, names_functions=False),
    Host("another user without capabilities", NOBODY),
    Host("a read-only root", READ_ONLY),
    Host("all of it, as a hardened pod has it", [*READ_ONLY, *NOBODY]),
    # Swift's executors cannot be probed there either, and stacks of the first thread have one frame.
    Host("no proc", HIDDEN_PROC, OF_PROC, 9, ("executors are not probed",), names_functions=False),
    Host("a proc of its own processes alone", [*PARTIAL_PROC, *NOBODY]),
    Host("perf, timers and restartable sequences refused", [sys.executable, str(HERE / "refuse_calls.py"), REFUSED]),
    Host("32 descriptors", ["prlimit", "--nofile=32"]),
    Host("no core, no locked memory, no priority", ["prlimit", "--core=0", "--memlock=0", "--nice=0", "--rtprio=0"]),
    Host("no environment", ["env", "-i", "OUTRIDER_ADDRESS=127.0.0.1:0"]),
    # What is reserved counts, stacks of threads above all, and not what is used.
    Host("160 MiB of data", ["prlimit", f"--data={160 << 20}"]),
]


def may(command: Sequence[str]) -> bool:
    """Whether this machine lets a test begin a program so."""
    return subprocess.run([*command, "true"], capture_output=True, timeout=20).returncode == 0


class Guest:
    """The program with an agent and the hooks in it, where everybody may read it."""

    def __init__(self, host: Host) -> None:
        self.place = Path(tempfile.mkdtemp())
        self.place.chmod(0o755)
        program = self.place / "linked"
        if host.is_stripped:
            subprocess.run([system_binary("strip"), "-s", "-o", program, host_binary("linked")], check=True, timeout=60)
        else:
            shutil.copy(host_binary("linked"), program)
        self.errors = self.place / "errors"
        with self.errors.open("wb") as errors:
            self.popen = subprocess.Popen(
                [*host.before, str(program), *([] if host.failures else ["serve"])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                # Swift knows no arguments where there is no /proc.
                env=clean_environment(OUTRIDER_ADDRESS="127.0.0.1:0", HOST_ORDER="serve"),
            )
        self.lines = Lines(self.popen.stdout)

    def __enter__(self) -> "Guest":
        try:
            self.url = self.lines.read().decode().strip()
        except BaseException:
            said = self.errors.read_text()
            self.__exit__()
            raise AssertionError(f"it did not start: {said}") from None
        return self

    def __exit__(self, *_: object) -> None:
        self.popen.kill()
        self.popen.communicate(timeout=10)
        shutil.rmtree(self.place)

    def figures(self) -> dict[Key, float]:
        """The samples of this moment, as somebody else's parser reads them."""
        body = fetch(f"{self.url}/metrics")
        assert promtool_findings(body) == ""
        exposition = Exposition(body, [("Content-Type", "text/plain; version=0.0.4")])
        return {k: sample.value for k, sample in samples_of(exposition.families).items()}

    def order(self, count: int) -> None:
        """Has it count."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(b"\n" * count)
        self.popen.stdin.flush()

    def top(self) -> str:
        """What `go tool pprof` reads in its heap profile."""
        profile = self.place / "heap.pb.gz"
        profile.write_bytes(fetch(f"{self.url}/debug/pprof/heap"))
        command = ["go", "tool", "pprof", "-top", "-cum", "-sample_index=inuse_space", str(profile)]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    def end(self) -> bytes:
        """Ends it politely; its last word."""
        out, _ = self.popen.communicate(timeout=20)
        assert self.popen.returncode == 0
        return out


@pytest.fixture(scope="module", name="usual")
def fixture_usual() -> set[str]:
    """The metrics that there are where nothing is withheld."""
    with Guest(HOSTS[0]) as guest:
        return {name for name, _ in guest.figures()}


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_it_runs_and_shows_what_can_be_seen(host: Host, usual: set[str]) -> None:
    if not may(host.before):
        pytest.skip("this machine does not let a test withhold that")
    with Guest(host) as guest:
        guest.order(5)
        figures = poll("it has counted", lambda: found if (found := guest.figures())[key("orders_total", [])] == 5 else None)
        seen = {name for name, _ in figures}
        assert {name for name in usual - seen if not re.fullmatch(host.absent, name)} == set()
        assert bool(usual - seen) == bool(host.absent)
        failures = "outrider_source_failures_total"

        def all_failed() -> bool | None:
            # Some are read beside the scrapes.
            return len({dict(labels)["source"] for name, labels in guest.figures() if name == failures}) == host.failures or None

        poll(f"{host.failures} sources have failed", all_failed)
        # One sample stands for 512 KiB: the estimate of 32 MiB is off by an eighth more often than not.
        assert MAPPED / 2 <= total(figures, "heap_live_bytes") <= MAPPED * 2
        assert (HOLDER in guest.top()) == host.names_functions
        assert b"stopped, with 8192 pages held" in guest.end()
        said = guest.errors.read_text().splitlines()
        assert len(said) == len(host.warnings)
        assert all(line.startswith("outrider: warning: ") and text in line for line, text in zip(said, host.warnings))


def test_64_mebibytes_are_enough_for_a_service_under_load(tmp_path: Path) -> None:
    limit = 64 << 20
    with Quickstart(tmp_path / "log", QUICKSTART_TRAFFIC="none") as service:
        try:
            group = memory_limit(service.popen.pid, limit)
            group.__enter__()
        except OSError as error:
            pytest.skip(f"this machine does not let a test limit memory: {error}")
        try:
            run = Run(service.target, service.service, 0)
            customers = [Customer(lambda: [run], number) for number in range(2)]
            for customer in customers:
                customer.start()
            for _ in range(10):
                assert fetch(f"{service.agent}/debug/pprof/heap")
                assert fetch(f"{service.agent}/metrics")
            poll("there was some load", lambda: run.answered() >= 500 or None)
            for customer in customers:
                customer.is_over.set()
                customer.join(20)
            figures = {k: s.value for k, s in samples_of(Exposition(
                fetch(f"{service.agent}/metrics"), [("Content-Type", "text/plain; version=0.0.4")]).families).items()}
        finally:
            group.__exit__(None, None, None)
    assert service.popen.returncode == 0
    assert total(figures, "orders_placed_total") == run.answered() == run.sent()
    assert figures[key("cgroup_memory_limit_bytes", [])] == limit
    assert figures[key("process_resident_memory_bytes", [])] < limit
