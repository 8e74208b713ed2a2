# SPDX-License-Identifier: Apache-2.0
"""examples/systemd: checked by systemd's own tools, as far as possible on a machine that systemd
did not boot."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import ROOT, system_binary

pytestmark = pytest.mark.compute

EXAMPLE = ROOT / "examples/systemd"
SERVICE, SOCKET = ((EXAMPLE / name).read_text(encoding="utf-8") for name in ("shop.service", "shop-outrider.socket"))
EXPOSURE = 2.0
"""Out of 10, by `systemd-analyze security`, which rates up to 2 as OK; the remainder is network
access."""


@pytest.fixture(name="units")
def fixture_units(tmp_path: Path) -> Path:
    """Both units, with an installed program."""
    for path in EXAMPLE.glob("shop*.*"):
        shutil.copy(path, tmp_path)
    unit = tmp_path / "shop.service"
    unit.write_text(SERVICE.replace("/usr/local/bin/storefront", system_binary("true")))
    return tmp_path


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The result of systemd-analyze."""
    command = [system_binary("systemd-analyze"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_systemd_accepts_the_units(units: Path) -> None:
    run = analyze("verify", "--man=no", str(units / "shop.service"), str(units / "shop-outrider.socket"))
    ours = [line for line in (run.stdout + run.stderr).splitlines() if "shop" in line]
    assert ours == [] and run.returncode == 0, run.stderr


@pytest.mark.parametrize("line", ["ProtectSystm=strict", "MemoryMax=plenty", "SystemCallFilter=@nothing-such"])
def test_systemd_rejects_an_invalid_line(units: Path, line: str) -> None:
    unit = units / "shop.service"
    unit.write_text(unit.read_text().replace("DynamicUser=yes", f"DynamicUser=yes\n{line}"))
    run = analyze("verify", "--man=no", str(unit))
    assert f"{unit}:" in run.stderr or line.split("=")[0] in run.stderr


def test_the_service_is_confined(units: Path) -> None:
    run = analyze("security", "--offline=true", f"--threshold={EXPOSURE * 10:g}", "--no-pager", str(units / "shop.service"))
    assert run.returncode == 0, run.stdout[-600:]


def test_the_socket_belongs_to_the_agent_and_opens_first() -> None:
    assert re.search(r"(?m)^FileDescriptorName=outrider$", SOCKET) and re.search(r"(?m)^Service=shop.service$", SOCKET)
    assert re.search(r"(?m)^ListenStream=127\.", SOCKET), "the socket listens on loopback only"
    for line in ["Requires", "After"]:
        assert re.search(rf"(?m)^{line}=.*shop-outrider\.socket", SERVICE)
    assert not re.search(r"(?m)^(Environment=OUTRIDER_ADDRESS|NonBlocking|Accept=yes)", SERVICE + SOCKET)


def test_the_stop_timeout_covers_the_drain_and_the_last_scrape() -> None:
    drain, last, stop = (int(re.findall(rf"{name}=(\d+)", SERVICE)[0]) for name in ("DRAIN_SECONDS", "LAST_SCRAPE_SECONDS", "TimeoutStopSec"))
    assert stop >= drain + last + 30


def test_the_storefront_reads_every_environment_variable() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "examples/storefront").rglob("*.swift"))
    for name in re.findall(r"(?m)^Environment=(\w+)=", SERVICE):
        assert f'"{name}"' in sources or name.startswith(("OUTRIDER_", "OTEL_")), name
