# SPDX-License-Identifier: Apache-2.0
"""examples/monitoring: checked by the tools that consume it, and run as far as possible without
containers."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import ROOT, Process, poll, system_binary
from ports import reserved_port
from prometheus_server import PrometheusAPI
from storefront_lab import Storefront

pytestmark = pytest.mark.wait

EXAMPLE = ROOT / "examples/monitoring"


def read(name: str) -> Any:
    """A parsed file of the example."""
    return yaml.safe_load((EXAMPLE / name).read_text(encoding="utf-8"))


COMPOSE = read("docker-compose.yml")["services"]
SCRAPES = read("prometheus.yml")
SOURCE = read("grafana/datasources/prometheus.yml")["datasources"][0]


@pytest.mark.parametrize(
    "command", [("promtool", "check", "config", "prometheus.yml"), ("amtool", "check-config", "alertmanager.yml")],
    ids=["Prometheus", "Alertmanager"],
)
def test_promtool_and_amtool_accept_the_configuration(command: tuple[str, ...]) -> None:
    run = subprocess.run([system_binary(command[0]), *command[1:]], cwd=EXAMPLE, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0 and "SUCCESS" in run.stdout, run.stdout + run.stderr


def test_prometheus_runs_with_the_configuration(tmp_path: Path) -> None:
    with Storefront(tmp_path / "storefront.log", OTEL_RESOURCE_ATTRIBUTES="service.version=1.0.0") as storefront:
        config = tmp_path / "prometheus.yml"
        text = (EXAMPLE / "prometheus.yml").read_text(encoding="utf-8").replace("storefront:9464", storefront.target)
        config.write_text(text.replace("../../dashboards", str(ROOT / "dashboards")).replace("_interval: 5s", "_interval: 500ms"))
        own = f"127.0.0.1:{reserved_port()}"
        flags = [flag for flag in COMPOSE["prometheus"]["command"] if "config.file" not in flag]
        command = [system_binary("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}"]
        with Process([*command, f"--web.listen-address={own}", *flags], tmp_path / "prometheus.log"):
            server = PrometheusAPI(f"http://{own}")
            server.await_up("storefront")
            found = server.await_samples('outrider_build_info{cluster="local",namespace="examples"}')
            assert found[0]["metric"]["instance"] == storefront.target
            groups = poll("the rules are loaded", lambda: server.api("rules")["groups"] or None)
            assert {group["name"] for group in groups} >= {"outrider-slo", "outrider-budgets", "outrider-process"}


def test_compose_refers_to_existing_files_and_local_ports() -> None:
    for name, service in COMPOSE.items():
        # No port is reachable from another machine, and each image has a pinned version.
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert re.search(r":v?\d", service.get("image", ":0")), name
        for volume in service.get("volumes", ()):
            source, target, mode = volume.split(":")
            assert (EXAMPLE / source).exists() and target.startswith("/etc/") and mode == "ro", volume
    build = COMPOSE["storefront"]["build"]
    assert (EXAMPLE / build["context"]).resolve() == ROOT and (ROOT / build["dockerfile"]).exists()


def test_the_services_refer_to_each_other_correctly() -> None:
    target = SCRAPES["scrape_configs"][0]["static_configs"][0]["targets"][0]
    host, port = target.split(":")
    assert host in COMPOSE and COMPOSE[host]["environment"]["OUTRIDER_ADDRESS"].endswith(f":{port}")
    assert SCRAPES["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == ["alertmanager:9093"]
    assert SOURCE["url"] == "http://prometheus:9090" and {"alertmanager", "prometheus"} <= COMPOSE.keys()
    assert "redis" in COMPOSE and COMPOSE["storefront"]["environment"]["REDIS_URL"].startswith("redis://redis:")


def test_the_storefront_reads_every_variable_of_compose() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "examples/storefront").rglob("*.swift"))
    for name in COMPOSE["storefront"]["environment"]:
        assert f'"{name}"' in sources or name.startswith(("OUTRIDER_", "OTEL_")), name


def test_grafana_finds_the_dashboards_and_the_traces() -> None:
    provider = read("grafana/dashboards/outrider.yml")["providers"][0]
    mounted = [volume.split(":") for volume in COMPOSE["grafana"]["volumes"]]
    boards = [ROOT / "dashboards" / Path(source).name for source, target, _ in mounted if target.endswith(".json")]
    assert len(boards) == 4 and all(json.loads(board.read_text())["uid"] == board.stem for board in boards)
    assert all(target.startswith(provider["options"]["path"] + "/") for _, target, _ in mounted if target.endswith(".json"))
    assert SOURCE["jsonData"]["timeInterval"] == SCRAPES["global"]["scrape_interval"]
    # The label of the agent's exemplars; Grafana reads $$ as a single $.
    link = SOURCE["jsonData"]["exemplarTraceIdDestinations"][0]
    assert link["name"] == "trace_id" and "$${__value.raw}" in link["url"]
