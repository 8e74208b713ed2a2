# SPDX-License-Identifier: Apache-2.0
"""The examples in the doc comments of OutriderInstruments compile."""

import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from harness import ROOT, probe_binary, system_binary
from preload_tools import LIMIT

pytestmark = pytest.mark.compute

FOLDER = ROOT / "Sources/OutriderInstruments"
BLOCK = re.compile(r"(?m)^/// ```swift\n((?:///.*\n)+?)/// ```$")

# Declarations that the examples use and leave to their readers.
DECLARATIONS = """
import OutriderInstruments
import OutriderMetrics

struct Order: Sendable {}
struct Message: Sendable {}
struct TooManyRequests: Error {}
struct Unavailable: Error {}
struct Overload: Error {}
final class Connection: Sendable { func load(_ id: Int) async throws -> Order { Order() } }
final class Pool: Sendable {
    let idle = 1
    let used = 1
    let capacity = 2
    let waiters = 0
    func lease() async throws -> Connection { Connection() }
}
final class Cache: Sendable {
    let count = 1
    subscript(id: Int) -> Order? { nil }
}
struct Database: Sendable { func order(_ id: Int) async throws -> Order { Order() } }
final class Queue: Sendable {
    let hasRoom = true
    let count = 0
    func append(_ work: @escaping @Sendable () async -> Void) {}
}
final class Limiter: Sendable { let permitsLeft = 1; func take() -> Bool { true } }
struct Breaker: Sendable {
    let allows = true
    let isOpen = false
}
struct Payments: Sendable { func charge(_ order: Order) async throws -> Int { 1 } }
struct Subscriber: Sendable { func offer(_ message: Message) -> Bool { true } }
final class Buffer: Sendable {}
func place(_ order: Order) async {}
let (orderID, id, order, message) = (1, 1, Order(), Message())
let (pool, cache, database, queue, limiter) = (Pool(), Cache(), Database(), Queue(), Limiter())
let (breaker, payments, subscribers) = (Breaker(), Payments(), [Subscriber()])
"""


def examples() -> list[tuple[str, str]]:
    """Each example, with the name of its file."""
    found = []
    for file in sorted(FOLDER.glob("*.swift")):
        for block in BLOCK.findall(file.read_text(encoding="utf-8")):
            lines = [line.removeprefix("///").removeprefix(" ") for line in block.splitlines()]
            found.append((file.stem, "\n".join(lines)))
    return found


@pytest.fixture(scope="module", name="errors")
def fixture_errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The compiler's errors by file: all examples are one module, so that the library's modules are
    read only once."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "Declarations.swift").write_text(DECLARATIONS, encoding="utf-8")
    for number, (name, code) in enumerate(examples()):
        result = "-> Order? " if "return order" in code else ""
        ending = "return nil" if result else ""
        variables = "var pool = [Buffer()]" if "pool.popLast" in code else ""
        (folder / f"{name}{number}.swift").write_text(
            "import OutriderInstruments\nimport OutriderMetrics\n"
            f"func example{number}() async throws {result}{{\n{variables}\n{code}\n{ending}\n}}\n",
            encoding="utf-8",
        )
    modules = Path(probe_binary()).parent / "Modules"
    compiled = subprocess.run(
        [
            system_binary("swiftc"), "-typecheck", "-wmo", "-swift-version", "6", "-parse-as-library",
            "-I", str(modules), *imports(), *sorted(folder.glob("*.swift")),
        ],
        capture_output=True, text=True, timeout=LIMIT,
    )
    errors = defaultdict(list)
    for line in compiled.stderr.splitlines():
        if found := re.match(r"(?:.*/)?(\w+)\.swift:\d+:\d+: error: ", line):
            errors[found[1]].append(line)
    assert compiled.returncode == 0 or errors, compiled.stderr
    assert not errors["Declarations"], errors["Declarations"]
    return errors


@pytest.mark.parametrize("number", range(len(examples())), ids=[name for name, _ in examples()])
def test_the_example_compiles(number: int, errors: dict[str, list[str]]) -> None:
    found = errors[f"{examples()[number][0]}{number}"]
    assert not found, "\n".join(found)


def imports() -> list[str]:
    """Compiler flags that locate the C modules."""
    flags = []
    for include in ROOT.glob("Sources/*/include"):
        flags += ["-Xcc", f"-I{include}"]
    for module in ROOT.glob("Sources/*/module.modulemap"):
        flags += ["-Xcc", f"-fmodule-map-file={module}"]
    return flags


def test_every_instrument_has_an_example() -> None:
    names = {name for name, _ in examples()}
    declared = re.compile(r"(?m)^public (?:final class|struct) (\w+)")
    for file in FOLDER.glob("*.swift"):
        for instrument in declared.findall(file.read_text(encoding="utf-8")):
            assert instrument in names, f"{instrument} has no example in its doc comment"
