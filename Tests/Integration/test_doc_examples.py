# SPDX-License-Identifier: Apache-2.0
"""The examples in doc comments of the instruments compile."""

import re
import subprocess
from pathlib import Path

import pytest

from harness import ROOT, probe_binary, system_binary

pytestmark = pytest.mark.compute

FOLDER = ROOT / "Sources/OutriderInstruments"
BLOCK = re.compile(r"(?m)^/// ```swift\n((?:///.*\n)+?)/// ```$")

# What the examples speak of and leave to their readers.
WORLD = """
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
    """Each example with the name of its file."""
    found = []
    for file in sorted(FOLDER.glob("*.swift")):
        for block in BLOCK.findall(file.read_text(encoding="utf-8")):
            lines = [line.removeprefix("///").removeprefix(" ") for line in block.splitlines()]
            found.append((file.stem, "\n".join(lines)))
    return found


@pytest.mark.parametrize(("name", "code"), examples(), ids=[name for name, _ in examples()])
def test_the_example_compiles(name: str, code: str, tmp_path: Path) -> None:
    result = "-> Order? " if "return order" in code else ""
    ending = "return nil" if result else ""
    variables = "var pool = [Buffer()]" if "pool.popLast" in code else ""
    source = tmp_path / f"{name}.swift"
    source.write_text(
        f"{WORLD}\nfunc example() async throws {result}{{\n{variables}\n{code}\n{ending}\n}}\n",
        encoding="utf-8",
    )
    modules = Path(probe_binary()).parent / "Modules"
    compiled = subprocess.run(
        [
            system_binary("swiftc"), "-typecheck", "-swift-version", "6", "-parse-as-library",
            "-I", str(modules), *imports(), str(source),
        ],
        capture_output=True, text=True, timeout=120,
    )
    errors = [line for line in compiled.stderr.splitlines() if ": error: " in line]
    assert compiled.returncode == 0, "\n".join(errors)


def imports() -> list[str]:
    """Where the C modules below are."""
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
