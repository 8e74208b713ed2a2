# SPDX-License-Identifier: Apache-2.0
"""Profiles of the preloaded object: their content, when they are written, and error cases."""

import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from harness import poll
from preload_tools import (
    LIMIT, compiled, decoded, life, preload_object, pprof, preloaded, run, start_until_ready, sums,
)

pytestmark = pytest.mark.compute


# --- content ---


def test_sampling_everything_gives_exact_sums(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    ended = run([compiled("known.c"), "5000", "1000"], preloaded(str(profile), 1))
    assert (ended.status, ended.output, ended.errors) == (0, b"done\n", b"")
    found = {
        kind: {name: count for name, count in sums(profile, kind).items() if "_block" in name}
        for kind in ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")
    }
    assert found == {
        "alloc_objects": {"keep_block": 5000, "churn_block": 5000},
        "alloc_space": {"keep_block": 5_000_000, "churn_block": 2_500_000},
        "inuse_objects": {"keep_block": 5000},
        "inuse_space": {"keep_block": 5_000_000},
    }


def test_sampling_gives_estimates_within_their_error(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    blocks, size, interval = 200_000, 1000, 65536
    run([compiled("known.c"), str(blocks), str(size)], preloaded(str(profile), interval))
    # With n samples, at least 1,526, the relative standard deviation is 1/sqrt(n). Chance exceeds
    # seven of them once in 10^11 runs.
    for kind, name, true in [
        ("inuse_space", "keep_block", blocks * size),
        ("alloc_space", "churn_block", blocks * size // 2),
    ]:
        deviation = (interval / true) ** 0.5
        assert sums(profile, kind)[name] == pytest.approx(true, rel=7 * deviation)


def test_stacks_reach_main(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    run([compiled("known.c"), "5000", "1000"], preloaded(str(profile), 1))
    traces = pprof("-traces", "-focus=keep_block", str(profile))
    assert re.search(r"(?m)^ +4\.77MB +keep_block\n +main$", traces), traces


def test_function_names_survive_the_replacement_of_the_program_file(tmp_path: Path) -> None:
    program, profile = tmp_path / "program", tmp_path / "profile.pb.gz"
    shutil.copy(life("wait")[0], program)
    popen, _ = start_until_ready([str(program), "wait"], profile)
    # As an upgrade replaces a program.
    next_version = tmp_path / "next"
    shutil.copy(compiled("known.c"), next_version)
    next_version.rename(program)
    popen.communicate(b"\n", timeout=LIMIT)
    assert popen.returncode == 0
    assert sums(profile, "inuse_space")["main"] == 1_000_000
    assert f'string_table: "{program}"' in decoded(profile)


def test_protoc_decodes_the_profile(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    program = compiled("operators.cpp")
    run([program], preloaded(str(profile), 4096))
    text = decoded(profile)
    strings = re.findall(r'(?m)^string_table: "(.*)"$', text)
    assert strings[0] == ""

    def message(kind: str) -> list[str]:
        return re.findall(rf"(?m)^{kind} \{{\n((?:  .*\n)*)\}}", text)

    def named(number: str) -> str:
        return strings[int(number)]

    types = [tuple(map(named, re.findall(r"\d+", one))) for one in message("sample_type")]
    assert types == [
        ("alloc_objects", "count"), ("alloc_space", "bytes"),
        ("inuse_objects", "count"), ("inuse_space", "bytes"),
    ]  # fmt: skip
    [period_type] = message("period_type")
    assert tuple(map(named, re.findall(r"\d+", period_type))) == ("space", "bytes")
    assert re.search(r"(?m)^period: 4096$", text)
    default = re.search(r"(?m)^default_sample_type: (\d+)$", text)
    assert default and named(default[1]) == "inuse_space"
    # The first mapping is the program, whose build ID readelf prints.
    first = message("mapping")[0]
    file, build_id = (re.search(rf"{field}: (\d+)", first) for field in ("filename", "build_id"))
    assert file and named(file[1]) == program
    notes = subprocess.run(["readelf", "-n", program], capture_output=True, text=True, check=True)
    assert build_id and f"Build ID: {named(build_id[1])}" in notes.stdout
    # Every ID that is referenced exists.
    locations = {int(one) for one in re.findall(r"(?m)^location \{\n  id: (\d+)", text)}
    assert {int(one) for one in re.findall(r"location_id: (\d+)", text)} <= locations
    functions = {int(one) for one in re.findall(r"(?m)^function \{\n  id: (\d+)", text)}
    assert {int(one) for one in re.findall(r"function_id: (\d+)", text)} <= functions
    # Four values each, none negative.
    for one in message("sample"):
        assert len(re.findall(r"  value: \d+\n", one)) == 4, one
    # Function names both demangled and mangled.
    pairs = [
        tuple(map(named, pair))
        for pair in re.findall(r"function \{\n  id: \d+\n  name: (\d+)\n  system_name: (\d+)", text)
    ]
    assert any(
        name.startswith("(anonymous namespace)::descend(int)") and mangled.startswith("_ZN")
        for name, mangled in pairs
    ), pairs


# --- when they are written ---


def test_the_profile_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    run(life("chdir"), preloaded(str(tmp_path / "profile.pb.gz"), 1))
    assert [path.name for path in tmp_path.iterdir()] == ["profile.pb.gz"]
    assert stat.S_IMODE((tmp_path / "profile.pb.gz").stat().st_mode) == 0o600


def test_a_relative_path_is_resolved_at_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "100% p"
    folder.mkdir()
    ended = run(life("chdir"), preloaded("profile-%%-%p", 1), folder)
    assert (ended.status, ended.errors) == (0, b"")
    [path] = folder.iterdir()
    assert re.fullmatch(r"profile-%-\d+", path.name)


def test_without_a_path_nothing_is_sampled_or_written(tmp_path: Path) -> None:
    for environment in (preloaded(), preloaded(interval=1), preloaded("", 1)):
        ended = run(life("files"), environment, tmp_path)
        assert (ended.status, ended.output, ended.errors) == (0, b"0\n1\n2\n", b"")
    assert list(tmp_path.iterdir()) == []


def test_the_hooks_leave_no_descriptor_open(tmp_path: Path) -> None:
    ended = run(life("files"), preloaded(str(tmp_path / "profile.pb.gz"), 1))
    assert (ended.status, ended.output, ended.errors) == (0, b"0\n1\n2\n", b"")


def test_a_signal_writes_a_profile_and_the_program_continues(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    popen, _ = start_until_ready(life("wait"), profile)
    for _ in range(3):
        popen.send_signal(signal.SIGUSR2)
        poll("the profile exists", lambda: profile.exists() or None)
        assert "main" in pprof("-top", str(profile))
        profile.unlink()
    # The pending read was not interrupted.
    output, errors = popen.communicate(b"\n", timeout=LIMIT)
    assert (popen.returncode, output, errors) == (0, b"", b"")
    assert profile.exists()


def test_a_signal_that_the_program_ignores_stays_ignored(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        popen, _ = start_until_ready(life("ignore"), profile)
    finally:
        signal.signal(signal.SIGUSR2, before)
    popen.send_signal(signal.SIGUSR2)
    output, errors = popen.communicate(b"\n", timeout=LIMIT)
    assert (popen.returncode, output, errors) == (0, b"", b"")


def test_a_handler_of_the_program_is_kept(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    popen, lines = start_until_ready(life("handle"), profile)
    popen.send_signal(signal.SIGUSR2)
    assert lines.read(LIMIT) == b"own handler\n"
    assert not profile.exists()
    popen.communicate(b"\n", timeout=LIMIT)
    assert popen.returncode == 0


def test_a_program_that_ends_without_exit_writes_no_profile(tmp_path: Path) -> None:
    ended = run(life("raw-exit"), preloaded(str(tmp_path / "profile.pb.gz"), 1))
    assert (ended.status, ended.errors, list(tmp_path.iterdir())) == (0, b"", [])


def test_a_profile_is_written_when_the_last_thread_ends(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    ended = run(life("leave"), preloaded(str(profile), 1))
    assert (ended.status, ended.errors) == (0, b"")
    assert "go_on" in pprof("-top", "-sample_index=alloc_space", str(profile))


def test_a_profile_is_written_on_the_smallest_stack_too(tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    ended = run(life("small"), preloaded(str(profile), 1))
    assert (ended.status, ended.errors) == (0, b"")
    assert "main" in pprof("-top", str(profile))


def test_an_ignored_signal_starts_no_extra_thread(tmp_path: Path) -> None:
    # unshare(2) fails in a program with two threads.
    command = ["/usr/bin/unshare", "--user", "/bin/true"]
    if run(command, preloaded()).status != 0:
        pytest.skip("user namespaces are forbidden here")
    script = f'trap "" USR2; exec {" ".join(command)}'
    ended = run(["/bin/bash", "-c", script], preloaded(str(tmp_path / "%p"), 1))
    assert (ended.status, ended.errors) == (0, b"")


def test_a_forked_child_writes_its_own_profile_or_none(tmp_path: Path) -> None:
    ended = run(life("fork"), preloaded(str(tmp_path / "%p.pb.gz"), 1))
    assert (ended.status, ended.errors) == (0, b"")
    child = ended.output.decode().strip()
    names = [path.name for path in tmp_path.iterdir()]
    assert len(names) == 2 and f"{child}.pb.gz" in names

    profile = tmp_path / "one"
    ended = run(life("fork"), preloaded(str(profile), 1))
    assert (ended.status, ended.errors) == (0, b"")
    assert "main" in pprof("-top", str(profile))


def test_children_that_run_other_programs_write_their_own_profiles(tmp_path: Path) -> None:
    ended = run(["/bin/bash", "-c", "ls /; true"], preloaded(str(tmp_path / "%p"), 1))
    assert (ended.status, ended.errors) == (0, b"")
    assert len(list(tmp_path.iterdir())) == 2


# --- error cases ---


@pytest.mark.parametrize("bad", ["0", "-1", "64KiB", "", " 1", "18446744073709551616", "1e6"])
def test_an_invalid_interval_is_reported_and_the_default_applies(bad: str, tmp_path: Path) -> None:
    profile = tmp_path / "profile.pb.gz"
    ended = run(life("chdir"), preloaded(str(profile), bad))
    assert (ended.status, ended.output) == (0, b"")
    message = f"outrider-heap: OUTRIDER_HEAP_INTERVAL is not a number of bytes, at least 1: {bad}; "
    assert ended.errors.decode() == f"{message}sampling every 524288\n"
    assert re.search(r"(?m)^period: 524288$", decoded(profile))


@pytest.mark.parametrize("bad", ["%", "a%sb", "%P", "x" * 5000])
def test_an_invalid_path_is_reported_and_nothing_is_written(bad: str, tmp_path: Path) -> None:
    ended = run(life("chdir"), preloaded(bad, 1), tmp_path)
    assert (ended.status, ended.output, list(tmp_path.iterdir())) == (0, b"", [])
    assert ended.errors.startswith(b"outrider-heap: no profile: ")
    assert ended.errors.endswith(b"\n") and ended.errors.count(b"\n") == 1


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "profile"
    ended = run(life("chdir"), preloaded(str(path), 1))
    message = f"outrider-heap: no profile {path}: cannot create a temporary file beside it: No such file or directory\n"
    assert (ended.status, ended.output, ended.errors.decode()) == (0, b"", message)


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    ended = run(life("chdir"), preloaded("/dev/null", 1))
    assert ended.status == 0 and b"cannot replace a path that is not a regular file" in ended.errors
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert run(life("chdir"), preloaded(str(pipe), 1)).status == 0
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_full_device_is_reported_and_leaves_no_file(tmp_path: Path) -> None:
    # A limit on file sizes acts like a full device; the signal that comes with it is ignored.
    script = f'trap "" XFSZ; ulimit -f 0; exec "{life("chdir")[0]}" chdir'
    ended = run(["/bin/bash", "-c", script], preloaded(str(tmp_path / "%p"), 1))
    assert ended.status == 0 and b"cannot write it: File too large" in ended.errors
    assert list(tmp_path.iterdir()) == []


def test_a_file_size_limit_is_reported_and_leaves_no_file(tmp_path: Path) -> None:
    limited = ["sh", "-c", 'ulimit -f 0; exec "$0" "$@"', *life("wait")]
    ended = run(limited, preloaded(str(tmp_path / "profile.pb.gz"), 1))
    assert (ended.status, ended.output) == (0, b"ready\n")
    assert ended.errors.endswith(b": cannot write it: File too large\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("settings", [{"interval": "many"}, {"profile": "/nonexistent/profile.pb.gz"}])
def test_a_closed_standard_error_does_not_end_the_program(settings: dict[str, str], tmp_path: Path) -> None:
    settings = {"profile": str(tmp_path / "profile.pb.gz")} | settings
    reader, writer = os.pipe()
    os.close(reader)
    # Python ignores SIGPIPE, which its children would inherit.
    ended = subprocess.run(
        life("wait"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=writer, env=preloaded(**settings),
        restore_signals=True, timeout=LIMIT)
    os.close(writer)
    assert (ended.returncode, ended.stdout) == (0, b"ready\n")


def test_the_object_depends_on_libc_only() -> None:
    shown = subprocess.run(["readelf", "-d", preload_object()], capture_output=True, text=True, check=True)
    assert re.findall(r"\(NEEDED\).*\[(.+)\]", shown.stdout) == ["libc.so.6"]
