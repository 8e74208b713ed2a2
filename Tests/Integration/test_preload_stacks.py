# SPDX-License-Identifier: Apache-2.0
"""Stacks in profiles of the preloaded object: complete on every kind of thread, with the system's
and with newer C libraries."""

import re
import resource
from pathlib import Path

import pytest

from harness import clean_environment
from newer_libraries import Libraries
from preload_tools import HOOKS, comments, compiled, pprof, preloaded, run

pytestmark = pytest.mark.compute

# The functions of bounds.c that allocate a block.
KINDS = [
    "with_guard", "without_guard", "on_given_stack", "on_stack_with_marked_guard", "on_stack_within_mains",
    "after_fiber", "with_number_for_frame",
]  # fmt: skip
FIBERS = 2
IN_FIBER = 20


def stacks(profile: Path, function: str) -> list[list[str]]:
    """The stacks through a function, innermost frame first."""
    shown = pprof("-traces", f"-focus=^{function}$", str(profile))
    blocks = re.split(r"(?m)^-+\+-+$", shown)[1:]
    found = [[line.split()[-1] for line in block.splitlines() if line.strip()] for block in blocks]
    return [frames for frames in found if function in frames]


def test_stacks_of_all_kinds_of_threads_are_complete(libraries: Libraries, tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    program = compiled("bounds.c", *libraries.link_flags)
    ended = run([program], preloaded(str(profile), 1) | libraries.environment)
    assert (ended.status, ended.output) == (0, b"every thread has its block\n")
    assert ended.errors in (b"", b"this kernel marks no guards\n")
    found = stacks(profile, "leaf")
    assert {frames[2] for frames in found} == set(KINDS)
    for frames in found:
        assert frames[:2] == ["leaf", "middle"]
        if frames[2] == "with_number_for_frame":
            # The walk cannot go on: the frame pointer register holds a number.
            assert len(frames) == 3, frames
            continue
        is_first_thread = "main" in frames
        # In libc, which started the thread.
        assert frames[-1] == ("_start" if is_first_thread else "[libc.so.6]"), frames
    assert sum("main" in frames for frames in found) == 1
    # The end of a fiber's stack is unknown, since libc did not allocate it. No other stack is
    # truncated.
    assert comments(profile)["stacks truncated"] == str(FIBERS * IN_FIBER + 1)


def test_no_stack_of_a_short_lived_thread_is_truncated(libraries: Libraries, tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    program = compiled("bounds.c", *libraries.link_flags)
    ended = run([program, "short"], preloaded(str(profile), 1) | libraries.environment)
    assert (ended.status, ended.output, ended.errors) == (0, b"every thread has its block\n", b"")
    counts = comments(profile)
    assert int(counts["samples"]) >= 200 and counts["stacks truncated"] == "0"


def test_a_stack_without_a_limit_is_complete(libraries: Libraries, tmp_path: Path) -> None:
    if resource.getrlimit(resource.RLIMIT_STACK)[1] != resource.RLIM_INFINITY:
        pytest.skip("stacks have a limit here that cannot be raised")
    profile = tmp_path / "profile.pb.gz"
    # The shell itself runs with the system's libraries.
    command = 'ulimit -s unlimited; LD_LIBRARY_PATH="$LIBRARIES" exec "$0" "$@"'
    limited = ["/bin/sh", "-c", command, compiled("bounds.c", *libraries.link_flags), "deep"]
    ended = run(limited, preloaded(str(profile), 1) | {"LIBRARIES": libraries.environment.get("LD_LIBRARY_PATH", "")})
    assert (ended.status, ended.output, ended.errors) == (0, b"every thread has its block\n", b"")
    [frames] = stacks(profile, "leaf")
    assert frames[:4] == ["leaf", "middle", "below_much", "main"] and frames[-1] == "_start"


def test_stack_bounds_equal_those_of_libc(libraries: Libraries) -> None:
    sources = [str(file) for part in HOOKS for file in sorted(part.glob("*.c"))]
    program = compiled("holes.c", *(f"-I{part}/include" for part in HOOKS), *sources, *libraries.link_flags)
    for _ in range(20):
        ended = run([program], clean_environment(**libraries.environment))
        assert (ended.status, ended.output, ended.errors) == (0, b"every stack ended where it ends\n", b"")
