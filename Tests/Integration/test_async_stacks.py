# SPDX-License-Identifier: Apache-2.0
"""Callers of async functions in heap profiles, for programs compiled with marked async frames."""

import subprocess
from pathlib import Path

import pytest

from harness import system_binary
from preload_tools import LIMIT, SUITE, hooked, outcome, pprof, profiles

pytestmark = pytest.mark.compute


@pytest.mark.parametrize("has_marks", [True, False])
def test_awaiting_callers_are_in_the_stack_if_async_frames_are_marked(tmp_path: Path, has_marks: bool) -> None:
    program = str(tmp_path / "awaiting")
    kind = "always" if has_marks else "never"
    flags = ["-Xcc", "-fno-omit-frame-pointer", "-Xfrontend", f"-swift-async-frame-pointer={kind}"]
    source = str(SUITE / "awaiting.swift")
    subprocess.run(
        [system_binary("swiftc"), "-O", "-parse-as-library", *flags, source, "-o", program],
        check=True, timeout=LIMIT,
    )
    assert outcome([program], hooked(tmp_path / "profiles", 16384)) == (0, "2000\n", "")
    (profile,) = profiles(tmp_path / "profiles")
    top = pprof("-top", "-cum", "-sample_index=alloc_space", profile)
    assert "holdMemory(_:)" in top, top
    # Without the marks a walk ends in the runtime, which resumes only the innermost function.
    assert ("outerAsync(_:)" in top) == has_marks, top
