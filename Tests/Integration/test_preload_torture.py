# SPDX-License-Identifier: Apache-2.0
"""Programs that stress an allocator: with the hooks they end as they do without."""

import gzip
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness import ROOT, clean_environment, poll
from preload_tools import LIMIT, TORTURE, compiled, fresh_folder, pprof, preloaded, run, sums, torture

pytestmark = pytest.mark.compute

# Debian's mimalloc 2.0 does not align every block as requested, also without hooks.
ABSENT = {("calls.c", "mimalloc"), ("operators.cpp", "mimalloc")}
CASES = [
    (source, behind)
    for source in TORTURE
    for behind in ("glibc", "jemalloc", "mimalloc")
    if (source, behind) not in ABSENT
]


# An interval of 1 samples everything; with 64 KiB most calls take the fast path.
@pytest.mark.parametrize("interval", [1, 65536])
@pytest.mark.parametrize("source, behind", CASES)
def test_a_program_ends_as_it_does_without_hooks(
    source: str, behind: str, interval: int, tmp_path: Path
) -> None:
    folder = fresh_folder(tmp_path / "profiles")
    hooked = run(torture(source), preloaded(f"{folder}/%p.pb.gz", interval, behind))
    assert (hooked.status, hooked.errors) == (0, b"")
    assert hooked.output.decode() == TORTURE[source]

    written = sorted(folder.iterdir(), key=lambda path: path.stat().st_size)
    # Exactly one complete profile: a child forked from a multithreaded process writes none.
    assert len(written) == 1
    assert all(path.suffixes == [".pb", ".gz"] for path in written)
    shown = pprof("-top", "-sample_index=alloc_space", str(written[-1]))
    assert "Type: alloc_space" in shown
    assert {"glibc": "libc.so", "jemalloc": "libjemalloc", "mimalloc": "libmimalloc"}[behind] in shown


def test_operator_new_attributes_memory_to_its_caller(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    assert run([compiled("operators.cpp")], preloaded(str(profile), 1)).status == 0
    held = sums(profile, "inuse_space")
    assert held["(anonymous namespace)::holdByNew()"] == 2_000_000


def catches(process: int, number: signal.Signals) -> bool:
    """Whether a process handles a signal, which would end it otherwise."""
    status = Path(f"/proc/{process}/status").read_text()
    return bool(int(status.split("SigCgt:")[1].split()[0], 16) >> (number - 1) & 1)


# Repeatedly, while the programs start, work, fork and end.
@pytest.mark.parametrize("source", ["threads.c", "forks.c", "stacks.c", "operators.cpp", "libraries.c"])
def test_profiles_can_be_requested_at_any_time(source: str, tmp_path: Path) -> None:
    popen = subprocess.Popen(
        torture(source), stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE,
        env=preloaded(f"{tmp_path}/%p.pb.gz", 512) | {"WAITS_FOR_LINE": "1"},
    )  # fmt: skip
    profile = tmp_path / f"{popen.pid}.pb.gz"

    def is_waiting() -> bool | None:
        assert popen.poll() is None, popen.communicate()
        return catches(popen.pid, signal.SIGUSR2) or None

    # It waits for a line before main, so it cannot end before the handler is checked.
    poll("the program handles the signal", is_waiting, LIMIT)
    popen.send_signal(signal.SIGUSR2)
    popen.stdin.write(b"\n")
    popen.stdin.flush()
    limit = time.monotonic() + LIMIT
    while popen.poll() is None:
        popen.send_signal(signal.SIGUSR2)
        if profile.exists():
            # Always complete, since the file is renamed into place once it is written.
            gzip.decompress(profile.read_bytes())
        # Lets the program make progress between two signals.
        time.sleep(0.002)
        if time.monotonic() > limit:
            popen.kill()
            popen.communicate()
            pytest.fail("the program does not end")
    output, errors = popen.communicate()
    assert (popen.returncode, output.decode(), errors) == (0, TORTURE[source], b"")
    assert "Total samples = 0" not in pprof("-top", "-sample_index=alloc_space", str(profile))


def test_hooks_that_are_off_change_nothing() -> None:
    for source, line in TORTURE.items():
        ended = run(torture(source), preloaded())
        assert (ended.status, ended.output.decode(), ended.errors) == (0, line, b"")


def test_a_program_keeps_its_own_allocator(tmp_path: Path) -> None:
    program = compiled("own_malloc.cpp")
    profile = tmp_path / "profile.pb.gz"
    ended = run([program], preloaded(str(profile), 1))
    assert (ended.status, ended.output) == (0, b"every block was its own\n")
    assert ended.errors.startswith(b"outrider-heap: no profile: ")
    assert ended.errors.count(b"\n") == 1
    assert not profile.exists()


def test_a_program_at_a_fixed_address_is_sampled(tmp_path: Path) -> None:
    # Such a program has its own stubs for functions whose addresses it takes.
    program = compiled("stubs.c", "-no-pie", "-fno-pic")
    profile = tmp_path / "profile.pb.gz"
    ended = run([program], preloaded(str(profile), 1))
    assert (ended.status, ended.output, ended.errors) == (0, b"done\n", b"")
    assert "make_block" in pprof("-top", str(profile))


def test_a_program_at_a_fixed_address_with_another_allocator_first_is_not(tmp_path: Path) -> None:
    program = compiled("stubs.c", "-no-pie", "-fno-pic")
    environment = preloaded(str(tmp_path / "profile.pb.gz"), 1, "jemalloc")
    environment["LD_PRELOAD"] = " ".join(reversed(environment["LD_PRELOAD"].split()))
    ended = run([program], environment)
    assert (ended.status, ended.output) == (0, b"done\n")
    assert ended.errors.startswith(b"outrider-heap: no profile: another library's malloc")
