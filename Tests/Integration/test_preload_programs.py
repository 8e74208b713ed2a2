# SPDX-License-Identifier: Apache-2.0
"""Everyday programs run with the sampler: they behave as without it, and leave a readable
profile."""

import functools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness import poll, system_binary
from preload_tools import LIMIT, Ending, fresh_folder, pprof, preloaded, profile_of, run, unhooked

pytestmark = pytest.mark.compute


@dataclass(frozen=True)
class Task:
    """A task for a program, run in its own folder."""

    command: list[str]
    # A pattern for the program's name in its profile.
    name: str
    # Its input files, and its output files other than standard output.
    files: dict[str, str] = field(default_factory=dict)
    results: list[str] = field(default_factory=list)


PYTHON = """
import collections, hashlib, json, re, sqlite3, threading, zlib
words = [hashlib.sha256(str(n).encode()).hexdigest()[:12] for n in range(20000)]
tree = {}
for word in words:
    node = tree
    for letter in word[:6]:
        node = node.setdefault(letter, {})
print(len(json.dumps(tree)), hashlib.md5(json.dumps(tree).encode()).hexdigest())
print(collections.Counter(letter for word in words for letter in word).most_common(5))
print(len(re.findall("[a-f]{3,}", " ".join(words))), len(zlib.compress("".join(words).encode())))
database = sqlite3.connect(":memory:")
database.execute("create table words (word text)")
database.executemany("insert into words values (?)", ((word,) for word in words))
print(database.execute("select count(distinct substr(word, 1, 3)) from words").fetchone())
sums = []
threads = [threading.Thread(target=lambda: sums.append(sum(map(len, words)))) for _ in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sums)
"""

GIT = """
set -eu
export HOME=$PWD GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_DATE='2001-01-01T00:00:00Z' GIT_COMMITTER_DATE='2001-01-01T00:00:00Z'
git init -q -b main place
cd place
git config user.name somebody
git config user.email somebody@example.org
git config gc.threads 1
for commit in 1 2 3 4 5; do
    for file in $(seq 1 60); do seq $((file * commit)) > "file-$file"; done
    git add .
    git commit -q -m "commit $commit"
done
git checkout -q -b side HEAD~2
seq 5000 > other
git add .
git commit -q -m other
git merge -q -m merged main
git log --stat
git diff HEAD~1 | head -n 1000
git gc -q
git fsck
git rev-parse HEAD
"""

PERL = r"""
use strict; use warnings;
my %count; my @lines;
for my $n (1 .. 40000) { my $word = join '', map { chr(97 + ($n * $_ * 7) % 26) } 1 .. 8;
    $count{$word}++; push @lines, "$word-$n"; }
my @best = (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 9];
print "$_ $count{$_}\n" for @best;
my $text = join ' ', @lines; my $hits = () = $text =~ /([a-m]{4})-\d+7\b/g; print "$hits\n";
$text =~ s/(\w+)-(\d+)/$2:\u$1/g; print length($text), ' ', unpack('%32C*', $text), "\n";
my $pid = fork; if (!$pid) { my @own = map { "x" x $_ } 1 .. 500; exit(@own == 500 ? 0 : 1) }
waitpid $pid, 0; print $? == 0 ? "child\n" : "no child\n";
"""

BASH = r"""
declare -A seen; list=()
for ((n = 0; n < 4000; n++)); do
    word="w$((n * 7919 % 1000))"; seen[$word]=$((${seen[$word]:-0} + 1)); list+=("$word-$n")
done
echo "${#seen[@]} ${#list[@]} ${list[*]:100:20}"
text="${list[*]}"; text="${text//w1/X}"; echo "${#text}" "$(printf '%s' "$text" | md5sum)"
for n in {1..30}; do (inner=("${list[@]}"); echo "$n ${#inner[@]}"); done
while read -r a b; do echo "$b $a"; done < <(printf '%s\n' "${list[@]}" | tr - ' ' | sort | head -n 50)
"""

C_SOURCE = r"""
#include <stdio.h>
#include <string.h>
#define ONE(n) static int f##n(int a, const char *t) { int s = n; for (int i = 0; i < a; i++) \
    s = s * 31 + (t[i % 7] ^ i); switch (s & 15) { case 1: s += 3; break; case 7: s -= a; break; \
    default: s ^= (int)strlen(t); } return s; }
#define TEN(n) ONE(n##0) ONE(n##1) ONE(n##2) ONE(n##3) ONE(n##4) ONE(n##5) ONE(n##6) ONE(n##7) \
    ONE(n##8) ONE(n##9)
TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6)
int main(void) { printf("%d\n", f10(10, "abcdefg") + f25(11, "gfedcba") + f69(3, "xyzxyzx")); }
"""

CXX_SOURCE = r"""
#include <algorithm>
#include <map>
#include <string>
#include <vector>
int total(const std::vector<std::string> &words) {
    std::map<std::string, std::vector<int>> found;
    for (auto &word : words) found[word.substr(0, 3)].push_back(static_cast<int>(word.size()));
    int sum = 0;
    for (auto &[key, sizes] : found) { std::sort(sizes.begin(), sizes.end()); sum += sizes.back(); }
    return sum;
}
"""

SWIFT_SOURCE = """
struct Shop { var orders: [String: [Int]] = [:]
    mutating func add(_ name: String, _ amount: Int) { orders[name, default: []].append(amount) }
    func best() -> [(String, Int)] {
        orders.map { ($0.key, $0.value.reduce(0, +)) }.sorted { $0.1 > $1.1 || $0.0 < $1.0 } } }
var shop = Shop()
for n in 0..<100 { shop.add("customer \\(n % 7)", n) }
for (name, sum) in shop.best() { print(name, sum) }
"""

JAVA_SOURCE = """
import java.util.*; import java.util.concurrent.*; import java.util.stream.*; import java.util.zip.*;
public class Work { public static void main(String[] a) throws Exception {
    Map<String, Integer> count = new TreeMap<>();
    for (int n = 0; n < 50000; n++) count.merge("w" + (n * 7919 % 1000), n, Integer::sum);
    System.out.println(count.size() + " " + count.values().stream().mapToInt(x -> x).sum());
    ExecutorService pool = Executors.newFixedThreadPool(8);
    List<Future<Long>> sums = new ArrayList<>();
    for (int t = 0; t < 32; t++) { final int s = t; sums.add(pool.submit(() -> {
        CRC32 crc = new CRC32(); Deflater d = new Deflater(); byte[] b = new byte[100000];
        new Random(s).nextBytes(b); d.setInput(b); d.finish(); byte[] o = new byte[200000];
        crc.update(o, 0, d.deflate(o)); d.end(); return crc.getValue(); })); }
    for (Future<Long> sum : sums) System.out.println(sum.get());
    pool.shutdown();
    System.out.println(IntStream.range(0, 1000).mapToObj(Integer::toString).collect(Collectors.joining())
        .hashCode()); } }
"""

NODE = """
const zlib = require('zlib'), crypto = require('crypto');
const map = new Map();
for (let n = 0; n < 50000; n++) { const k = 'w' + n * 7919 % 1000; map.set(k, (map.get(k) || 0) + n); }
console.log(map.size, [...map].sort().slice(0, 5));
const text = JSON.stringify([...map]); console.log(crypto.createHash('sha256').update(text).digest('hex'));
const packed = zlib.gzipSync(text.repeat(20)); console.log(zlib.gunzipSync(packed).length);
Promise.all([...Array(20).keys()].map(n => new Promise(done =>
    crypto.pbkdf2('p' + n, 's', 500, 32, 'sha256', (_, key) => done(key.toString('hex'))))))
    .then(keys => console.log(keys.join('\\n')));
"""

MAKEFILE = """
names := $(shell seq 1 8)
all: program
\t./program
program: $(names:%=f%.o) main.o
\t@gcc -o $@ $^
f%.o:
\t@echo "int f$*(void) { return $* * $*; }" > f$*.c && gcc -O1 -c f$*.c -o $@
main.o:
\t@{ echo '#include <stdio.h>'; for n in $(names); do echo "int f$$n(void);"; done; \\
\t echo 'int main(void) { printf("%d", 0'; for n in $(names); do echo "+ f$$n()"; done; \\
\t echo '); }'; } > main.c && gcc -c main.c -o $@
"""


@functools.cache
def clang() -> str:
    """The clang on PATH, or Swift's."""
    return shutil.which("clang") or str(Path(os.path.realpath(system_binary("swift"))).parent / "clang")


def tasks() -> dict[str, Callable[[], Task]]:
    """The task of each program, created on use."""
    c, cxx = {"work.c": C_SOURCE}, {"work.cpp": CXX_SOURCE}
    return {
        "python3": lambda: Task(["python3", "-c", PYTHON], r"python3\S*"),
        "git": lambda: Task(["bash", "-c", GIT], "git"),
        "perl": lambda: Task(["perl", "-e", PERL], "perl"),
        "bash": lambda: Task(["bash", "-c", BASH], "bash"),
        "gcc": lambda: Task(["gcc", "-O2", "-S", "work.c"], "cc1", c, ["work.s"]),
        "g++": lambda: Task(["g++", "-O1", "-S", "work.cpp"], "cc1plus", cxx, ["work.s"]),
        "clang": lambda: Task([clang(), "-O2", "-S", "work.c"], r"clang\S*", c, ["work.s"]),
        "swiftc": lambda: Task(
            ["swiftc", "-O", "-emit-assembly", "work.swift", "-o", "work.s"], "swift-frontend",
            {"work.swift": SWIFT_SOURCE}, ["work.s"],
        ),
        "java": lambda: Task(["java", "Work.java"], "java", {"Work.java": JAVA_SOURCE}),
        "node": lambda: Task(["node", "-e", NODE], "node"),
        "make": lambda: Task(["make", "-j2", "-Oline"], "make", {"Makefile": MAKEFILE}),
    }  # fmt: skip


def run_task(task: Task, folder: Path, environment: dict[str, str]) -> tuple[Ending, list[bytes]]:
    """Runs a task in an empty folder; returns its exit and its output files."""
    fresh_folder(folder)
    for name, content in task.files.items():
        (folder / name).write_text(content, encoding="utf-8")
    # Without caches and random seeds.
    environment |= {"PYTHONHASHSEED": "0", "PERL_HASH_SEED": "0", "CCACHE_DISABLE": "1"}
    command = [system_binary(task.command[0]), *task.command[1:]]
    ended = run(command, environment, folder)
    return ended, [(folder / name).read_bytes() for name in task.results]


@functools.cache
def run_without_hooks(name: str, behind: str, folder: Path) -> tuple[Ending, list[bytes]]:
    """The result of a task without hooks."""
    ended = run_task(tasks()[name](), folder, unhooked(behind))
    assert ended[0].status == 0, ended[0]
    return ended


@pytest.fixture(scope="module")
def task_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all tasks: some programs print its path, so it must not vary."""
    return tmp_path_factory.mktemp("programs") / "work"


# 64 KiB with each allocator behind the hooks; with glibc also every allocation.
ROWS = [
    (name, behind, interval)
    for name in tasks()
    for behind, interval in [("glibc", 65536), ("jemalloc", 65536), ("glibc", 1)]
] + [(name, "mimalloc", 65536) for name in ("python3", "perl", "bash", "gcc", "node")]


@pytest.mark.parametrize("name, behind, interval", ROWS)
def test_a_program_behaves_the_same_with_the_sampler(
    name: str, behind: str, interval: int, task_folder: Path, tmp_path: Path
) -> None:
    expected = run_without_hooks(name, behind, task_folder)
    profiles = fresh_folder(tmp_path / "profiles")
    task = tasks()[name]()
    environment = preloaded(f"{profiles}/%p.pb.gz", interval, behind)
    assert run_task(task, task_folder, environment) == expected
    assert all(path.suffixes == [".pb", ".gz"] for path in profiles.iterdir())
    profile = profile_of(profiles, task.name)
    shown = pprof("-top", "-sample_index=alloc_space", str(profile))
    assert ("libc.so" if behind == "glibc" else f"lib{behind}") in shown
    assert "Total samples = 0" not in shown


class Redis:
    """A Redis server without files, on its own Unix socket, so that it takes no port that other
    tests may need."""

    def __init__(self, environment: dict[str, str]) -> None:
        # The path of a Unix socket must be short.
        self.folder = tempfile.TemporaryDirectory(prefix="redis-")
        self.socket = f"{self.folder.name}/socket"
        command = [system_binary("redis-server"), "--port", "0", "--unixsocket", self.socket]
        self.popen = subprocess.Popen(
            [*command, "--save", "", "--appendonly", "no", "--io-threads", "2"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=environment, cwd="/",
        )  # fmt: skip
        poll("redis listens", self._connect, 120)

    def _connect(self) -> bool:
        assert self.popen.poll() is None, "redis ended early"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.socket)
            return True

    def run_commands(self, commands: str) -> bytes:
        """The replies to commands, one per line."""
        client = [system_binary("redis-cli"), "-s", self.socket]
        answered = subprocess.run(client, input=commands.encode(), capture_output=True, timeout=LIMIT)
        assert answered.returncode == 0, answered.stderr
        return answered.stdout

    def stop(self) -> tuple[int, bytes]:
        """Stops it; returns its exit status and standard error."""
        self.run_commands("shutdown nosave\n")
        _, errors = self.popen.communicate(timeout=LIMIT)
        self.folder.cleanup()
        return self.popen.returncode, errors


def redis_commands() -> str:
    """Strings, lists, hashes, sorted sets, Lua, and freed memory."""
    lines = [f"set key:{n} {'x' * (n % 2000)}" for n in range(4000)]
    lines += [f"rpush list {n}" for n in range(2000)]
    lines += [f"hset hash:{n % 10} field:{n} {n}" for n in range(2000)]
    lines += [f"zadd scores {n * 7919 % 1000} member:{n}" for n in range(2000)]
    lines += [f"append key:{n} {'y' * 100}" for n in range(1000)]
    lines += ["lrange list 100 120", "zrange scores 0 20 withscores", "hlen hash:3", "strlen key:999"]
    lines += ['eval "local t = {} for i = 1, 1000 do t[i] = tostring(i) end return #table.concat(t)" 0']
    lines += [f"del key:{n}" for n in range(2000)]
    lines += ["dbsize", "flushall", "dbsize"]
    return "\n".join(lines) + "\n"


# Debian's Redis is linked with jemalloc, which is behind the hooks in both cases.
@pytest.mark.parametrize("behind", ["glibc", "jemalloc"])
@pytest.mark.parametrize("interval", [65536, 1])
def test_redis_replies_the_same_with_the_sampler(behind: str, interval: int, tmp_path: Path) -> None:
    plain = Redis(unhooked())
    expected = plain.run_commands(redis_commands())
    assert plain.stop() == (0, b"")

    sampled = Redis(preloaded(f"{tmp_path}/%p.pb.gz", interval, behind))
    assert sampled.run_commands(redis_commands()) == expected
    assert sampled.stop() == (0, b"")
    shown = pprof("-top", "-sample_index=alloc_space", str(profile_of(tmp_path, r"redis-\S+")))
    assert "libjemalloc" in shown
