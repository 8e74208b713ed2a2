# SPDX-License-Identifier: Apache-2.0
"""Programs that know nothing of the hooks do their work under them, to the same result."""

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import clean_environment, poll, system_binary
from preloading import hooked, pprof, profiles

Environment = dict[str, str]

C_SOURCE = "#include <stdio.h>\n" + "".join(
    f"int function_{i}(int x) {{ int y[10] = {{x}}; return y[x % 10] * {i}; }}\n" for i in range(300)
)
SWIFT_SOURCE = "".join(
    f"struct S{i} {{ var a: [Int]; func f() -> Int {{ a.map {{ $0 * {i} }}.reduce(0, +) }} }}\n"
    for i in range(40)
)
JAVA_SOURCE = """
import java.util.*;
public class Work {
    public static void main(String[] arguments) throws Exception {
        Map<String, Integer> counts = new TreeMap<>();
        for (int i = 0; i < 200000; i++) counts.merge("key " + i % 1000, 1, Integer::sum);
        Thread[] threads = new Thread[8];
        for (int i = 0; i < 8; i++) { threads[i] = new Thread(() -> new ArrayList<>(Collections.nCopies(10000, 1))); threads[i].start(); }
        for (Thread thread : threads) thread.join();
        System.out.println(counts.size() + " " + counts.get("key 7"));
    }
}
"""


def run(command: list[str], environment: Environment, folder: Path, said: str = "") -> str:
    """What a program prints; it has to end well and say nothing else."""
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "outrider" not in done.stderr
    return done.stdout


def python(environment: Environment, folder: Path) -> str:
    code = (
        "import json, re, threading\n"
        "data = [{'id': i, 'name': 'n' * (i % 50)} for i in range(20000)]\n"
        "text = json.dumps(data)\n"
        "t = [threading.Thread(target=json.loads, args=(text,)) for _ in range(4)]\n"
        "[x.start() for x in t]; [x.join() for x in t]\n"
        "print(len(text), len(re.findall('n+', text)))\n"
    )
    return run(["/usr/bin/python3", "-c", code], environment, folder)


def git(environment: Environment, folder: Path) -> str:
    fixed = {
        "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
    }
    environment = environment | fixed
    run(["git", "init", "--quiet", "."], environment, folder)
    for number in range(5):
        (folder / "file").write_text("\n".join(str(i * number) for i in range(3000)))
        run(["git", "add", "."], environment, folder)
        run(["git", "commit", "--quiet", "-m", f"change {number}"], environment, folder)
    run(["git", "gc", "--quiet"], environment, folder)
    return run(["git", "log", "--stat"], environment, folder)


def perl(environment: Environment, folder: Path) -> str:
    code = "my %h; $h{$_ % 997} .= $_ for 1..200000; print join(',', map { length $h{$_} } sort keys %h)"
    return run(["perl", "-e", code], environment, folder)


def bash(environment: Environment, folder: Path) -> str:
    code = (
        "declare -A a; for i in {1..3000}; do a[$i]=$((i * i)); done; "
        "echo ${#a[@]} $(echo ${a[77]} | tr 5 6); seq 1 2000 | sort -r | head -n 3 | (read x; echo $x)"
    )
    return run(["bash", "-c", code], environment, folder)


def compiler(name: str) -> Callable[[Environment, Path], str]:
    def compile_file(environment: Environment, folder: Path) -> str:
        (folder / "file.c").write_text(C_SOURCE)
        run([name, "-O2", "-c", "file.c", "-o", "file.o"], environment, folder)
        return (folder / "file.o").read_bytes().hex()

    return compile_file


def swiftc(environment: Environment, folder: Path) -> str:
    (folder / "file.swift").write_text(SWIFT_SOURCE)
    command = ["swiftc", "-O", "-emit-ir", "-module-name", "file", "file.swift", "-o", "file.ir"]
    run(command, environment, folder)
    return (folder / "file.ir").read_text()


def java(environment: Environment, folder: Path) -> str:
    (folder / "Work.java").write_text(JAVA_SOURCE)
    run(["javac", "Work.java"], environment, folder)
    return run(["java", "-Xmx256m", "Work"], environment, folder)


def node(environment: Environment, folder: Path) -> str:
    code = (
        "const m = new Map(); for (let i = 0; i < 200000; i++) m.set(i % 5000, Buffer.alloc(100, i));"
        "require('zlib').gzip(Buffer.alloc(1 << 20, 'x'), (e, b) => console.log(m.size, b.length))"
    )
    return run(["node", "-e", code], environment, folder)


def make(environment: Environment, folder: Path) -> str:
    for number in range(4):
        (folder / f"part{number}.c").write_text(f"int part{number}(void) {{ return {number}; }}\n")
    (folder / "Makefile").write_text(
        "objects = $(patsubst %.c,%.o,$(sort $(wildcard *.c)))\n"
        "all: $(objects)\n\t@echo linked $(objects)\n%.o: %.c\n\t@gcc -c $< -o $@\n"
    )
    return run(["make", "-j2", "--silent"], environment, folder)


def redis(environment: Environment, folder: Path) -> str:
    place = str(folder / "redis.sock")
    command = [
        system_binary("redis-server"), "--port", "0", "--unixsocket", place, "--save", "",
        "--appendonly", "no", "--dir", str(folder),
    ]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as server:
        try:
            answers = talk_to_redis(place)
            server.wait(timeout=30)
        finally:
            server.kill()
        assert server.returncode == 0, server.stderr.read()
    return answers


def talk_to_redis(place: str) -> str:
    def connected() -> socket.socket | None:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(30)
        try:
            client.connect(place)
        except OSError:
            client.close()
            raise
        return client

    with poll("redis listens", connected) as client:
        reader = client.makefile("rb")
        commands = [f"SET key:{i} {'v' * (i % 900)}\r\n" for i in range(20000)]
        commands += [f"DEL key:{i}\r\n" for i in range(0, 20000, 2)] + ["DBSIZE\r\n"]
        answers = []
        for start in range(0, len(commands), 500):
            part = commands[start : start + 500]
            client.sendall("".join(part).encode())
            answers += [reader.readline() for _ in part]
        client.sendall(b"SHUTDOWN NOSAVE\r\n")
        reader.read()
    return b"".join(answers).decode()


PROGRAMS = {
    "python3": python, "git": git, "perl": perl, "bash": bash, "gcc": compiler("gcc"),
    "clang": compiler("clang"), "swiftc": swiftc, "java": java, "node": node, "make": make,
    "redis-server": redis,
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """What each program does without the hooks, once."""
    known: dict[str, str] = {}

    def result(name: str) -> str:
        if name not in known:
            known[name] = PROGRAMS[name](clean_environment(), tmp_path_factory.mktemp(name))
        return known[name]

    return result


@pytest.mark.parametrize("behind", ["glibc", "jemalloc"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_does_the_same_under_the_hooks(
    name: str, behind: str, plain: Callable[[str], str], tmp_path: Path
) -> None:
    place = tmp_path / "profiles"
    work = tmp_path / "work"
    work.mkdir()
    result = PROGRAMS[name](hooked(place, 65536, behind), work)
    assert result == plain(name)
    largest = max(profiles(place), key=os.path.getsize)
    top = pprof("-top", "-sample_index=alloc_space", largest)
    assert "Type: alloc_space" in top and "% of" in top
