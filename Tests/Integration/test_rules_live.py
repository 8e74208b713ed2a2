# SPDX-License-Identifier: Apache-2.0
"""The rules on live data: with classic histograms, with native ones, which promtool cannot parse, and in either naming."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness import poll
from monitored import quick_rules
from prometheus_server import Prometheus
from runtime_lab import RuntimeLab

pytestmark = pytest.mark.wait

FAILED, SLOW = 15, 10
"""Requests, of which the slow ones take longer than the bound of the budget."""
ALL = 3 * FAILED + SLOW
"""With each that fails comes one that does not, and one that becomes a WebSocket."""
SERVERS = ("classic", "native", "prometheus naming", "native, prometheus naming")

each_server = pytest.mark.parametrize("server", SERVERS)


@pytest.fixture(scope="module", name="probe")
def fixture_probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeLab]:
    """An agent whose process does as it is told."""
    with RuntimeLab(log=tmp_path_factory.mktemp("probe") / "log", OUTRIDER_HISTOGRAMS="both") as probe:
        yield probe


@pytest.fixture(scope="module", name="servers")
def fixture_servers(probe: RuntimeLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Prometheus]]:
    """Servers with rules that saw requests fail and take their time."""
    place = tmp_path_factory.mktemp("rules")
    with ExitStack() as stack:
        probe.do("everything")
        probe.do("request 300")

        def server(name: str) -> Prometheus:
            folder: Path = place / name
            folder.mkdir()
            rules = quick_rules("outrider-prometheus.rules.yml" if "naming" in name else "outrider.rules.yml", folder)
            jobs = {"shop": f"{probe.url.removeprefix('http://')}/metrics"}
            flags = ["--enable-feature=native-histograms"] if "native" in name else []
            return stack.enter_context(Prometheus(folder, jobs, flags=flags, rules=[rules]))

        servers = {name: server(name) for name in SERVERS}
        for one in servers.values():
            one.await_up("shop")
            one.await_samples("outrider_build_info")
        for order, count in (("everything", FAILED), ("request 300", SLOW)):
            for _ in range(count):
                probe.do(order)
        yield servers


@each_server
@pytest.mark.parametrize(
    ("record", "share"),
    [("errors", FAILED / ALL), ("slow", SLOW / ALL)], ids=["errors", "slow"],
)
def test_the_ratios_are_those_of_the_requests(servers: dict[str, Prometheus], server: str, record: str, share: float) -> None:
    for window in ("5m", "1h", "3d"):
        name = f"job:http_server_{record}:ratio_rate{window}"

        def is_right(name: str = name) -> bool | None:
            found = servers[server].query(f'{name}{{job="shop"}}')
            return abs(float(found[0]["value"][1]) - share) < 0.02 or None if found else None

        poll(f"{name} is {share:.2f}", is_right)


@each_server
@pytest.mark.parametrize("alert", ["OutriderErrorBudgetBurn", "OutriderLatencyBudgetBurn"])
def test_budgets_fire(servers: dict[str, Prometheus], server: str, alert: str) -> None:
    servers[server].await_samples(f'ALERTS{{alertname="{alert}",alertstate="firing",job="shop"}}')


@each_server
def test_an_executor_that_is_late_fires(servers: dict[str, Prometheus], probe: RuntimeLab, server: str) -> None:
    def fires() -> bool | None:
        probe.do("block-main 150")
        return bool(servers[server].query('ALERTS{alertname="OutriderExecutorDelay",alertstate="firing",executor="main"}')) or None

    poll("the delay of the main actor fires", fires, 40)


@each_server
def test_each_kind_of_histogram_is_what_it_says(servers: dict[str, Prometheus], server: str) -> None:
    # Else the tests above could prove one kind twice.
    asked = servers[server].query
    name = "http_request_duration_seconds" if "naming" in server else "http_server_request_duration_seconds"
    assert bool(asked(name)) == ("native" in server) and bool(asked(f"{name}_bucket")) != ("native" in server)


@each_server
def test_no_rule_fails(servers: dict[str, Prometheus], server: str) -> None:
    groups = servers[server].api("rules")["groups"]
    assert groups and not [rule for group in groups for rule in group["rules"] if rule["health"] == "err"]
