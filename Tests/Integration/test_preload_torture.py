# SPDX-License-Identifier: Apache-2.0
"""Programs that are hard on an allocator: with the hooks they end as they do without."""

from pathlib import Path

import pytest

from preloading import compile_program, fresh_folder, pprof, preloaded, run

PROGRAMS = {
    "calls.c": "every call kept its promise\n",
    "threads.c": "every thread came to its end\n",
    "forks.c": "300 of 300 children ended well\n",
    "stacks.c": "every stack held\n",
    "libraries.c": "every library came and went\n",
    "operators.cpp": "every operator did its work\n",
}
# Debian's mimalloc 2.0 does not align everything as it is told, without hooks too.
ABSENT = {("calls.c", "mimalloc"), ("operators.cpp", "mimalloc")}
CASES = [
    (source, behind)
    for source in PROGRAMS
    for behind in ("libc", "jemalloc", "mimalloc")
    if (source, behind) not in ABSENT
]


def command(source: str) -> list[str]:
    """The program and what it wants to be told."""
    program = [compile_program(source)]
    if source == "libraries.c":
        program.append(compile_program("plugin.c", "-shared", "-fPIC"))
    return program


# An interval of 1 samples everything; 64 KiB lets most calls take the quick way.
@pytest.mark.parametrize("interval", [1, 65536])
@pytest.mark.parametrize("source, behind", CASES)
def test_it_ends_as_it_does_without_hooks(
    source: str, behind: str, interval: int, tmp_path: Path
) -> None:
    folder = fresh_folder(tmp_path / "profiles")
    hooked = run(command(source), preloaded(f"{folder}/%p.pb.gz", interval, behind))
    assert (hooked.status, hooked.errors) == (0, b"")
    assert hooked.output.decode() == PROGRAMS[source]

    written = sorted(folder.iterdir(), key=lambda path: path.stat().st_size)
    # One for each process, and nothing half written.
    assert len(written) == (301 if source == "forks.c" else 1)
    assert all(path.suffixes == [".pb", ".gz"] for path in written)
    shown = pprof(written[-1], "-top", "-sample_index=alloc_space")
    assert "Type: alloc_space" in shown
    assert {"libc": "libc.so", "jemalloc": "libjemalloc", "mimalloc": "libmimalloc"}[behind] in shown


def test_hooks_that_are_off_change_nothing() -> None:
    for source, line in PROGRAMS.items():
        ended = run(command(source), preloaded())
        assert (ended.status, ended.output.decode(), ended.errors) == (0, line, b"")


def test_a_program_with_an_allocator_of_its_own_keeps_it(tmp_path: Path) -> None:
    program = compile_program("own_malloc.cpp")
    profile = tmp_path / "profile.pb.gz"
    ended = run([program], preloaded(str(profile), 1))
    assert (ended.status, ended.output) == (0, b"every block was its own\n")
    assert ended.errors.startswith(b"outrider-heap: no profile: ")
    assert ended.errors.count(b"\n") == 1
    assert not profile.exists()


def test_a_program_at_a_fixed_address_is_sampled(tmp_path: Path) -> None:
    # Such a program has stubs of its own for functions whose addresses it takes.
    program = compile_program("stubs.c", "-no-pie", "-fno-pic")
    profile = tmp_path / "profile.pb.gz"
    ended = run([program], preloaded(str(profile), 1))
    assert (ended.status, ended.output, ended.errors) == (0, b"done\n", b"")
    assert "make_block" in pprof(profile, "-top")


def test_a_program_at_a_fixed_address_with_another_allocator_first_is_not(tmp_path: Path) -> None:
    program = compile_program("stubs.c", "-no-pie", "-fno-pic")
    environment = preloaded(str(tmp_path / "profile.pb.gz"), 1, "jemalloc")
    environment["LD_PRELOAD"] = " ".join(reversed(environment["LD_PRELOAD"].split()))
    ended = run([program], environment)
    assert (ended.status, ended.output) == (0, b"done\n")
    assert ended.errors.startswith(b"outrider-heap: no profile: another library's malloc")
