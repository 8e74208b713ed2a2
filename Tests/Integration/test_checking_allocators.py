# SPDX-License-Identifier: Apache-2.0
"""Allocators that check their callers, behind and in front of the hooks: they take effect, or the
hooks log why they are off."""

import functools
import subprocess
from pathlib import Path

import pytest

from harness import clean_environment, system_binary
from preload_tools import compiled, pprof, preload_object, run

pytestmark = pytest.mark.compute

CHECKS_ENABLED = [{"MALLOC_CHECK_": "3"}, {"GLIBC_TUNABLES": "glibc.malloc.check=3"}]


@functools.cache
def scudo() -> str:
    """LLVM's hardened allocator, which is shipped with Swift's compiler."""
    clang = Path(system_binary("swiftc")).resolve().parent / "clang"
    resource_folder = subprocess.run([clang, "-print-resource-dir"], capture_output=True, text=True, check=True).stdout
    found = sorted(Path(resource_folder.strip()).glob("lib/**/libclang_rt.scudo_standalone*.so"))
    if not found:
        pytest.skip("this compiler comes without scudo")
    return str(found[0])


def environment(objects: list[str], profile: Path | None, **others: str) -> dict[str, str]:
    """An environment with these preloaded objects; with a profile, every allocation is sampled."""
    variables = {"LD_PRELOAD": " ".join(objects), **others}
    if profile:
        variables |= {"OUTRIDER_HEAP_PROFILE": str(profile), "OUTRIDER_HEAP_INTERVAL": "1"}
    return clean_environment(**variables)


def overrun() -> str:
    """A program that writes past the end of a block and then frees it."""
    return compiled("overrun.c")


@pytest.mark.parametrize("settings", CHECKS_ENABLED)
@pytest.mark.parametrize("is_sampled", [False, True])
@pytest.mark.parametrize("is_behind", [False, True])
def test_an_overrun_is_detected_with_and_without_hooks(
    settings: dict[str, str], is_sampled: bool, is_behind: bool, tmp_path: Path
) -> None:
    debug = "libc_malloc_debug.so.0"
    alone = run([overrun()], environment([debug], None, **settings))
    assert alone.status != 0 and alone.output == b"", "not detected without hooks either"
    objects = [preload_object(), debug] if is_behind else [debug, preload_object()]
    ended = run([overrun()], environment(objects, tmp_path / "p" if is_sampled else None, **settings))
    refusal = b"outrider-heap: no profile: another library's malloc takes precedence over the hooks in this process\n"
    errors = ended.errors.removeprefix(refusal)
    assert (ended.status, ended.output, errors) == (alone.status, b"", alone.errors)
    assert ended.errors.startswith(refusal) == (is_sampled and not is_behind)


# Scudo's thread-local variables do not fit on the smallest stacks that threads.c requests.
@pytest.mark.parametrize(
    "source, checker",
    [("calls.c", "libc_malloc_debug"), ("threads.c", "libc_malloc_debug"), ("calls.c", "scudo")],
)
def test_programs_succeed_and_are_sampled(source: str, checker: str, tmp_path: Path) -> None:
    behind = scudo() if checker == "scudo" else "libc_malloc_debug.so.0"
    program = [compiled(source)]
    alone = run(program, environment([behind], None, MALLOC_CHECK_="3"))
    for profile in (None, tmp_path / "profile.pb.gz"):
        hooked = run(program, environment([preload_object(), behind], profile, MALLOC_CHECK_="3"))
        assert (hooked.status, hooked.output, hooked.errors) == (alone.status, alone.output, alone.errors)
    assert alone.status == 0
    shown = pprof("-top", "-sample_index=alloc_space", str(tmp_path / "profile.pb.gz"))
    assert ("scudo" if checker == "scudo" else "libc_malloc_debug") in shown


def test_hooks_behind_another_allocator_log_why_they_are_off(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    ended = run([compiled("calls.c")], environment([scudo(), preload_object()], profile))
    assert (ended.status, ended.output) == (0, b"every call kept its promise\n")
    assert ended.errors.startswith(b"outrider-heap: no profile: another library's malloc")
    assert not profile.exists()
