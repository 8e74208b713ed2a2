# SPDX-License-Identifier: Apache-2.0
"""Linking Outrider changes nothing visible to a service's user, shell or supervisor, and adds next
to nothing to its start."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from harness import Lines, clean_environment, release_binary, system_binary
from preload_tools import LIMIT

pytestmark = pytest.mark.compute

LINKED = [["linked"], ["linked", "with-agent"]]
"""Programs with the hooks and the agent linked in, without and with a running agent."""


def ids(way: list[str]) -> str:
    """A test ID for a command line."""
    return " ".join(way)


def run(way: list[str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Runs the program to its end."""
    command = [release_binary(way[0]), *way[1:], *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, env=clean_environment())


@pytest.mark.parametrize("way", LINKED, ids=ids)
@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_exit_statuses_are_the_programs_own(way: list[str], status: int) -> None:
    assert run(way, "exit", str(status)).returncode == run(["bare"], "exit", str(status)).returncode == status


@pytest.mark.parametrize("way", LINKED, ids=ids)
def test_outputs_are_the_programs_own(way: list[str]) -> None:
    bare, linked = run(["bare"], "hello"), run(way, "hello")
    assert (linked.stdout, linked.stderr, linked.returncode) == (bare.stdout, bare.stderr, 0)
    assert bare.stdout == bare.stderr == b"hello\n"


@pytest.mark.parametrize("way", LINKED, ids=ids)
def test_a_crash_ends_the_program_as_it_would_without(way: list[str]) -> None:
    bare, linked = run(["bare"], "trap"), run(way, "trap")
    assert linked.returncode == bare.returncode < 0
    assert linked.stderr.split(b"\n")[0] == bare.stderr.split(b"\n")[0]


@pytest.mark.parametrize("way", LINKED, ids=ids)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1, signal.SIGPROF, signal.SIGQUIT])
def test_signals_end_the_program_as_they_would_without(way: list[str], number: signal.Signals) -> None:
    with subprocess.Popen(
        [release_binary(way[0]), *way[1:], "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment()
    ) as process:
        try:
            assert Lines(process.stdout).read(LIMIT) == b"ready\n"
            process.send_signal(number)
            assert process.wait(LIMIT) == -number
        finally:
            process.kill()


def process_state(way: list[str]) -> dict[str, str]:
    """The program's status in procfs, its descriptors and its environment.

    SigQ counts the queued signals of all processes of the user (proc_pid_status(5)), which other
    tests change.
    """
    lines = run(way, "tell").stdout.decode().splitlines()
    return {line.partition(":")[0].partition("=")[0]: line for line in lines if not line.startswith("SigQ:")}


def test_linking_changes_no_signals_threads_descriptors_or_environment() -> None:
    bare, linked = process_state(["bare"]), process_state(["linked"])
    assert {"SigBlk", "SigIgn", "SigCgt", "Threads", "descriptor 0", "PATH"} <= bare.keys()
    assert linked == bare


def test_an_agent_blocks_ignores_and_handles_no_signal_of_the_service() -> None:
    bare, running = process_state(["bare"]), process_state(["linked", "with-agent"])
    for mask in ["SigBlk", "SigIgn", "SigPnd", "ShdPnd"]:
        assert running[mask] == bare[mask]
    # The C library handles two internal signals, 32 and 33, in the first thread (nptl(7)).
    internal = 1 << 31 | 1 << 32
    assert int(running["SigCgt"].split()[1], 16) & ~internal == int(bare["SigCgt"].split()[1], 16)
    environment = {name for name, line in bare.items() if "=" in line}
    assert {running[name] for name in environment} == {bare[name] for name in environment}


def instructions(name: str, folder: Path) -> dict[str, int]:
    """The instructions that a short program executes, by the object that contains them."""
    program, profile = folder / name, folder / f"{name}.callgrind"
    # valgrind cannot read the debug information of Swift's compiler.
    subprocess.run([system_binary("strip"), "-s", "-o", program, release_binary(name)], check=True, timeout=LIMIT)
    subprocess.run(
        [system_binary("valgrind"), "--tool=callgrind", f"--callgrind-out-file={profile}", program, "exit", "0"],
        check=True, capture_output=True, timeout=LIMIT, env=clean_environment(),
    )
    names, counts, own, is_callee = dict[str, str](), dict[str, int](), "", False
    for line in profile.read_text().splitlines():
        if found := re.match(r"(c?)ob=\((\d+)\)(?: (.*))?$", line):
            names.setdefault(found[2], Path(found[3] or "").name)
            own = own if found[1] else names[found[2]]
        elif line.startswith("calls="):
            is_callee = True
        elif re.match(r"[+*\d-]", line):
            # The line after a call is the callee's inclusive cost, which is also counted in the
            # callee.
            counts[own] = counts.get(own, 0) + (0 if is_callee else int(line.split()[1]))
            is_callee = False
    return counts


def test_linking_adds_no_work_at_start(tmp_path: Path) -> None:
    bare, linked = instructions("bare", tmp_path), instructions("linked", tmp_path)
    # Before main the hooks look up the allocator, and no other code of ours runs: microseconds.
    assert linked["linked"] - bare["bare"] <= 100_000
    # The rest is the loader's work for libmicrohttpd and its dependencies in Debian.
    assert sum(linked.values()) - sum(bare.values()) <= 8_000_000
