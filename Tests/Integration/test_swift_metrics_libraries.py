# SPDX-License-Identifier: Apache-2.0
"""A third-party library that records through swift-metrics, read by Prometheus' own parser."""

import json
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness import Lines, poll, release_binary

pytestmark = pytest.mark.wait


def test_metrics_of_swift_configuration_are_exposed(tmp_path: Path) -> None:
    file = tmp_path / "shop.json"
    file.write_text(json.dumps({"shop": {"limit": 10}}))
    program = release_binary("recorded-configuration")
    service = subprocess.Popen([program, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    lines = Lines(service.stdout)
    try:
        recorded(service, lines)
        # A new file replaces the old one, as in Kubernetes, so it is never incomplete.
        replacement = tmp_path / "replacement.json"
        replacement.write_text(json.dumps({"shop": {"limit": 2_000}}))
        replacement.rename(file)

        def reloaded() -> str | None:
            text = recorded(service, lines)
            # The size is exposed last.
            return text if f"_file_size_bytes {file.stat().st_size}\n" in text else None

        text = poll("the new file has been read", reloaded)
    finally:
        service.kill()
        service.communicate(timeout=60)

    families = {family.name: family for family in text_string_to_metric_families(text)}
    prefix = "reloadingfileprovider<jsonsnapshot>".replace("<", "_").replace(">", "_")
    size = families[f"{prefix}_file_size_bytes"]
    assert size.type == "gauge"
    assert [sample.value for sample in size.samples] == [file.stat().st_size]
    reloads = families[f"{prefix}_reloads"]
    assert reloads.type == "counter"
    assert [(sample.name, sample.value) for sample in reloads.samples] == [
        (f"{prefix}_reloads_total", 1)
    ]
    assert families[f"{prefix}_poll_ticks"].type == "counter"


def recorded(service: subprocess.Popen[bytes], lines: Lines) -> str:
    """The program's current metrics."""
    assert service.stdin is not None
    service.stdin.write(b"\n")
    service.stdin.flush()
    return b"".join(iter(lambda: lines.read(seconds=60), b"end\n")).decode("utf-8")
