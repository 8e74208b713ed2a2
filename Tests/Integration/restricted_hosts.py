# SPDX-License-Identifier: Apache-2.0
"""A program with an agent and the malloc hooks, run on restricted hosts."""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from constraints import UNPRIVILEGED, READ_ONLY, in_own_mounts
from exposition import Key, parse_samples
from harness import Lines, clean_environment, fetch, promtool_findings, release_binary, system_binary

HERE = Path(__file__).parent
MAPPED = 32 << 20
"""Bytes that the program allocates in the function HOLDER."""
HOLDER = "holdMemory()"


@dataclass(frozen=True)
class Host:
    """A way to start the program, and the metrics and warnings expected there."""

    name: str
    before: list[str]
    absent: str = ""
    """A pattern of metrics that are unavailable there; all others must be present."""
    failures: int = 0
    """The number of sources counted as failed."""
    warnings: tuple[str, ...] = ()
    """Warnings that the agent logs, as substrings."""
    names_functions: bool = True
    strip: str = ""
    """The option of strip(1) with which the program is stripped."""


HIDDEN_PROC = in_own_mounts("mount -t tmpfs none /proc")
PARTIAL_PROC = in_own_mounts("mount -t proc -o hidepid=2,subset=pid none /proc")
REFUSED = "perf_event_open,timer_create,timer_settime,setitimer,getitimer,rseq,membarrier,process_vm_readv,ptrace,userfaultfd,bpf"
OF_PROC = r"threads|(thread|process|cgroup|swift_executor|tcp|udp|outrider_reading)_.*|.*sockets.*"
HOSTS = [
    Host("usual", []),
    Host("a program without debug information", [], strip="--strip-debug"),
    Host("a stripped program", [], strip="--strip-all", names_functions=False),
    Host("another user without capabilities", UNPRIVILEGED),
    Host("a read-only root", READ_ONLY),
    Host("all of it, as a hardened pod has it", [*READ_ONLY, *UNPRIVILEGED]),
    # Swift's executors cannot be probed there, and stacks of the first thread have one frame.
    Host("no proc", HIDDEN_PROC, OF_PROC, 9, ("executors are not probed",), names_functions=False),
    Host("a proc of its own processes alone", [*PARTIAL_PROC, *UNPRIVILEGED]),
    Host("perf, timers and restartable sequences refused", [sys.executable, str(HERE / "refuse_calls.py"), REFUSED]),
    Host("32 descriptors", ["prlimit", "--nofile=32"]),
    Host("no core, no locked memory, no priority", ["prlimit", "--core=0", "--memlock=0", "--nice=0", "--rtprio=0"]),
    Host("no environment", ["env", "-i", "OUTRIDER_ADDRESS=127.0.0.1:0", "OUTRIDER_DEBUG_ADDRESS=shared", "HOST_ORDER=serve"]),
    # The limit counts reservations, mainly thread stacks, not memory in use.
    Host("160 MiB of data", ["prlimit", f"--data={160 << 20}"]),
]


class HostedProgram:
    """The program with an agent and the hooks, in a folder that every user can read."""

    def __init__(self, host: Host, **environment: str) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.folder.chmod(0o755)
        program = self.folder / "linked"
        if host.strip:
            subprocess.run([system_binary("strip"), host.strip, "-o", program, release_binary("linked")], check=True, timeout=120)
        else:
            shutil.copy(release_binary("linked"), program)
        self.errors = self.folder / "errors"
        with self.errors.open("wb") as errors:
            self.popen = subprocess.Popen(
                [*host.before, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                # Not as an argument: Swift cannot read its arguments without /proc.
                env=clean_environment(**{"OUTRIDER_ADDRESS": "127.0.0.1:0", "HOST_ORDER": "serve"} | environment),
            )
        self.lines = Lines(self.popen.stdout)

    def __enter__(self) -> "HostedProgram":
        try:
            self.url = self.lines.read(seconds=60).decode().strip()
        except BaseException:
            log = self.errors.read_text()
            self.__exit__()
            raise AssertionError(f"the program did not start: {log}") from None
        return self

    def __exit__(self, *_: object) -> None:
        self.popen.kill()
        self.popen.communicate(timeout=60)
        shutil.rmtree(self.folder)

    def samples(self) -> dict[Key, float]:
        """The current samples, read by a third-party parser."""
        body = fetch(f"{self.url}/metrics")
        assert promtool_findings(body) == ""
        return parse_samples(body)

    def order(self, count: int) -> None:
        """Makes it count this many orders."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(b"\n" * count)
        self.popen.stdin.flush()

    def top(self) -> str:
        """Its heap profile as printed by `go tool pprof`."""
        profile = self.folder / "heap.pb.gz"
        profile.write_bytes(fetch(f"{self.url}/debug/pprof/heap"))
        command = ["go", "tool", "pprof", "-top", "-cum", "-sample_index=inuse_space", str(profile)]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout

    def end(self) -> bytes:
        """Ends it by closing its standard input, and returns its remaining output."""
        out, _ = self.popen.communicate(timeout=60)
        assert self.popen.returncode == 0
        return out
