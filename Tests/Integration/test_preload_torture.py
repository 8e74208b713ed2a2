# SPDX-License-Identifier: Apache-2.0
"""Everything that a program may do to malloc, with the hooks in between."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from harness import clean_environment, poll
from preloading import compiled, hooked, outcome, pprof, preload_object, profiles, unhooked

ACTS = [
    "forks", "threads", "tiny-stacks", "dlopens", "recursion", "alternate-stack", "profiled",
    "coroutines", "cancellation", "entries", "reallocs", "hold",
]


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("programs"))


# Not all of glibc's promises are kept by the other allocators, so those are held to what they do without hooks.
@pytest.mark.parametrize("behind", ["glibc", "jemalloc", "mimalloc"])
@pytest.mark.parametrize("interval", [1, 16384])
@pytest.mark.parametrize("act", ACTS)
def test_memory_is_as_it_should_be(
    programs: str, tmp_path: Path, act: str, interval: int, behind: str
) -> None:
    command = [compiled("torture.c", programs), act]
    result = outcome(command, hooked(tmp_path, interval, behind))
    done = (0, f"{act} done\n", "")
    assert result == (done if behind == "glibc" else outcome(command, unhooked(behind)))
    assert profiles(tmp_path) or result != done


@pytest.mark.parametrize("behind", ["glibc", "jemalloc", "mimalloc"])
@pytest.mark.parametrize("interval", [1, 65536])
def test_operators_keep_their_promises_and_name_their_callers(
    programs: str, tmp_path: Path, interval: int, behind: str
) -> None:
    command = [compiled("operators.cpp", programs)]
    result = outcome(command, hooked(tmp_path, interval, behind))
    assert result == outcome(command, unhooked(behind))
    if result != (0, "operators done\n", ""):
        assert behind == "mimalloc"
        return
    (profile,) = profiles(tmp_path)
    top = pprof("-top", "-sample_index=inuse_space", profile)
    # Its 20 MB are flat: no frame of operator new stands before it.
    line = next(line for line in top.splitlines() if "hold_by_new()" in line)
    assert float(line.split()[1].rstrip("%")) > 90, top


def test_what_is_held_is_what_the_profile_shows(programs: str, tmp_path: Path) -> None:
    subprocess.run(
        [compiled("torture.c", programs), "hold"], env=hooked(tmp_path, interval=1), timeout=60,
        check=True, stdout=subprocess.DEVNULL,
    )
    (profile,) = profiles(tmp_path)
    top = pprof("-top", "-sample_index=inuse_space", "-unit=B", profile)
    held = re.search(r"^ *(\d+)B .* hold_twenty_megabytes$", top, re.MULTILINE)
    assert held and int(held[1]) == 20_000_000, top
    top = pprof("-top", "-sample_index=inuse_objects", profile)
    assert re.search(r"^ *20000 .* hold_twenty_megabytes$", top, re.MULTILINE), top


def test_a_profile_is_written_on_sigusr2(tmp_path: Path) -> None:
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, env=hooked(tmp_path))
    try:
        profile = tmp_path / f"{process.pid}.pb.gz"
        # The hooks take the signal over before the program begins.
        poll("cat runs", lambda: Path(f"/proc/{process.pid}/comm").read_text() == "cat\n" or None)
        def is_taken_over() -> bool | None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            caught = int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)
            return bool(caught >> signal.SIGUSR2 - 1 & 1) or None
        poll("SIGUSR2 is caught", is_taken_over)
        os.kill(process.pid, signal.SIGUSR2)
        poll("the profile is there", lambda: profile.exists() or None)
        assert "inuse_space" in pprof("-top", str(profile))
        profile.unlink()
    finally:
        process.communicate(timeout=10)
    assert process.returncode == 0
    assert profile.exists(), "another one at exit"


def test_a_signal_that_the_program_ignores_stays_ignored(tmp_path: Path) -> None:
    script = "trap '' USR2; exec python3 -c 'import os, signal; os.kill(os.getpid(), signal.SIGUSR2); print(1)'"
    run = subprocess.run(
        ["bash", "-c", script], env=hooked(tmp_path), capture_output=True, text=True, timeout=30
    )
    assert (run.returncode, run.stdout) == (0, "1\n")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OUTRIDER_HEAP_INTERVAL": "many"}, "OUTRIDER_HEAP_INTERVAL is \"many\""),
        ({"OUTRIDER_HEAP_PROFILE": "/nonexistent/file"}, "cannot be written to /nonexistent/file"),
        ({"OUTRIDER_HEAP_PROFILE": "x" * 5000}, "too long"),
    ],
)
def test_a_bad_setting_is_told_and_harms_nothing(
    tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    status, printed, complaint = outcome(["bash", "-c", "echo hello"], hooked(tmp_path) | variables)
    assert (status, printed) == (0, "hello\n")
    assert complaint.startswith("outrider: ") and said in complaint


def test_without_a_place_for_profiles_nothing_is_sampled(tmp_path: Path) -> None:
    environment = clean_environment(LD_PRELOAD=preload_object())
    assert outcome(["ls", str(tmp_path)], environment) == (0, "", "")
