# SPDX-License-Identifier: Apache-2.0
"""A program with an agent and the malloc hooks in it, on hosts that give it little."""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from constraints import NOBODY, READ_ONLY, elsewhere
from exposition import Key, figures_in
from harness import Lines, clean_environment, fetch, promtool_findings, release_binary, system_binary

HERE = Path(__file__).parent
MAPPED = 32 << 20
"""What the program holds, by a function of this name."""
HOLDER = "holdMemory()"


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
    strip: str = ""
    """What is stripped of the program, as strip(1) calls it."""


HIDDEN_PROC = elsewhere("mount -t tmpfs none /proc")
PARTIAL_PROC = elsewhere("mount -t proc -o hidepid=2,subset=pid none /proc")
REFUSED = "perf_event_open,timer_create,timer_settime,setitimer,getitimer,rseq,membarrier,process_vm_readv,ptrace,userfaultfd,bpf"
OF_PROC = r"threads|(thread|process|cgroup|swift_executor|tcp|udp|outrider_reading)_.*|.*sockets.*"
HOSTS = [
    Host("usual", []),
    Host("a program without debug information", [], strip="--strip-debug"),
    Host("a stripped program", [], strip="--strip-all", names_functions=False),
    Host("another user without capabilities", NOBODY),
    Host("a read-only root", READ_ONLY),
    Host("all of it, as a hardened pod has it", [*READ_ONLY, *NOBODY]),
    # Swift's executors cannot be probed there either, and stacks of the first thread have one frame.
    Host("no proc", HIDDEN_PROC, OF_PROC, 9, ("executors are not probed",), names_functions=False),
    Host("a proc of its own processes alone", [*PARTIAL_PROC, *NOBODY]),
    Host("perf, timers and restartable sequences refused", [sys.executable, str(HERE / "refuse_calls.py"), REFUSED]),
    Host("32 descriptors", ["prlimit", "--nofile=32"]),
    Host("no core, no locked memory, no priority", ["prlimit", "--core=0", "--memlock=0", "--nice=0", "--rtprio=0"]),
    Host("no environment", ["env", "-i", "OUTRIDER_ADDRESS=127.0.0.1:0", "OUTRIDER_DEBUG_ADDRESS=shared", "HOST_ORDER=serve"]),
    # What is reserved counts, stacks of threads above all, and not what is used.
    Host("160 MiB of data", ["prlimit", f"--data={160 << 20}"]),
]


class Guest:
    """The program with an agent and the hooks in it, where everybody may read it."""

    def __init__(self, host: Host, **environment: str) -> None:
        self.place = Path(tempfile.mkdtemp())
        self.place.chmod(0o755)
        program = self.place / "linked"
        if host.strip:
            subprocess.run([system_binary("strip"), host.strip, "-o", program, release_binary("linked")], check=True, timeout=120)
        else:
            shutil.copy(release_binary("linked"), program)
        self.errors = self.place / "errors"
        with self.errors.open("wb") as errors:
            self.popen = subprocess.Popen(
                [*host.before, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                # Not by an argument: Swift knows none where there is no /proc.
                env=clean_environment(**{"OUTRIDER_ADDRESS": "127.0.0.1:0", "HOST_ORDER": "serve"} | environment),
            )
        self.lines = Lines(self.popen.stdout)

    def __enter__(self) -> "Guest":
        try:
            self.url = self.lines.read(seconds=60).decode().strip()
        except BaseException:
            said = self.errors.read_text()
            self.__exit__()
            raise AssertionError(f"it did not start: {said}") from None
        return self

    def __exit__(self, *_: object) -> None:
        self.popen.kill()
        self.popen.communicate(timeout=60)
        shutil.rmtree(self.place)

    def figures(self) -> dict[Key, float]:
        """The samples of this moment, as somebody else's parser reads them."""
        body = fetch(f"{self.url}/metrics")
        assert promtool_findings(body) == ""
        return figures_in(body)

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
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout

    def end(self) -> bytes:
        """Ends it politely; its last word."""
        out, _ = self.popen.communicate(timeout=60)
        assert self.popen.returncode == 0
        return out
