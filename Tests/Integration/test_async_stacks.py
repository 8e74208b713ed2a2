# SPDX-License-Identifier: Apache-2.0
"""Who awaits whom, in programs that are compiled to tell."""

import subprocess
from pathlib import Path

import pytest

from harness import system_binary
from preloading import LIMIT, SUITE, hooked, outcome, pprof, profiles

pytestmark = pytest.mark.compute


@pytest.mark.parametrize("tells", [True, False])
def test_awaiting_callers_are_found_where_frames_are_marked(tmp_path: Path, tells: bool) -> None:
    program = str(tmp_path / "awaiting")
    kind = "always" if tells else "never"
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
    # Without the marks a walk ends in the runtime, which resumes the innermost function alone.
    assert ("outerAsync(_:)" in top) == tells, top
