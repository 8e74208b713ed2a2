# SPDX-License-Identifier: Apache-2.0
"""The rules on live data: with classic histograms, with native ones, which promtool cannot parse,
and in both naming schemes."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from exposition import Key
from harness import poll
from monitored_services import quick_rules
from prometheus_server import Prometheus
from runtime_lab import RuntimeLab

pytestmark = pytest.mark.wait

FAILED, SLOW = 15, 10
"""Requests; the slow ones exceed the bound of the latency budget."""
ALL = 3 * FAILED + SLOW
"""For each failed request there is one that succeeds and one that becomes a WebSocket."""
LIMIT = 300
"""Seconds within which an average over time has settled, on any machine."""
BOUND = "0.25"
"""The bound of the latency budget, in seconds."""
DELAYS = 30
"""The number of times that the main actor is blocked: more than a tenth of its delays are then
long."""
SERVERS = ("classic", "native", "prometheus naming", "native, prometheus naming")

each_server = pytest.mark.parametrize("server", SERVERS)


@pytest.fixture(scope="module", name="probe")
def fixture_probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeLab]:
    """An agent whose process executes commands."""
    with RuntimeLab(log=tmp_path_factory.mktemp("probe") / "log", OUTRIDER_HISTOGRAMS="both") as probe:
        yield probe


@dataclass(frozen=True)
class Requests:
    """Requests as counted by an agent."""

    all: float
    failed: float
    slow: float

    @classmethod
    def counted(cls, samples: dict[Key, float]) -> "Requests":
        """The requests in a scrape."""
        name = "http_server_request_duration_seconds"

        def requests(of: str, **labels: str) -> float:
            return sum(value for (found, own), value in samples.items() if found == of and labels.items() <= dict(own).items())

        total = requests(f"{name}_count")
        return cls(
            total, requests(f"{name}_count", http_response_status_code="500"), total - requests(f"{name}_bucket", le=BOUND))

    def since(self, before: "Requests") -> "Requests":
        """The requests since an earlier scrape."""
        return Requests(self.all - before.all, self.failed - before.failed, self.slow - before.slow)


@dataclass(frozen=True)
class Ruled:
    """Servers with rules, and the requests during their scrapes."""

    servers: dict[str, Prometheus]
    requests: Requests


@pytest.fixture(scope="module", name="ruled")
def fixture_ruled(probe: RuntimeLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ruled]:
    """Servers with rules, after failed and slow requests."""
    base = tmp_path_factory.mktemp("rules")
    with ExitStack() as stack:
        probe.do("everything")
        probe.do("request 300")

        def server(name: str) -> Prometheus:
            folder: Path = base / name
            folder.mkdir()
            rules = quick_rules("outrider-prometheus.rules.yml" if "naming" in name else "outrider.rules.yml", folder)
            jobs = {"shop": f"{probe.url.removeprefix('http://')}/metrics"}
            flags = ["--enable-feature=native-histograms"] if "native" in name else []
            return stack.enter_context(Prometheus(folder, jobs, flags=flags, rules=[rules]))

        servers = {name: server(name) for name in SERVERS}
        for one in servers.values():
            one.await_up("shop")
            one.await_samples("outrider_build_info")
        before = Requests.counted(probe.samples())
        # Alternating, so that an average over time is nearly constant.
        for turn in range(FAILED):
            probe.do("everything")
            if turn < SLOW:
                probe.do("request 300")
        block_main_actor(probe, DELAYS)
        yield Ruled(servers, Requests.counted(probe.samples()).since(before))


def block_main_actor(probe: RuntimeLab, times: int) -> None:
    """Blocks the main actor repeatedly, each time for 150 ms."""
    for _ in range(times):
        probe.do("block-main 150")


@pytest.fixture(name="servers")
def fixture_servers(ruled: Ruled) -> dict[str, Prometheus]:
    """The servers by name."""
    return ruled.servers


def test_the_counted_requests_match_the_commands(ruled: Ruled) -> None:
    found = ruled.requests
    # Any request may be slow on a busy machine.
    assert (found.all, found.failed) == (ALL, FAILED) and SLOW <= found.slow < ALL


@each_server
@pytest.mark.parametrize("record", ["errors", "slow"])
def test_recorded_ratios_match_the_requests(ruled: Ruled, server: str, record: str) -> None:
    share = (ruled.requests.failed if record == "errors" else ruled.requests.slow) / ruled.requests.all
    for window in ("5m", "1h", "3d"):
        name = f"job:http_server_{record}:ratio_rate{window}"

        def is_right(name: str = name) -> bool | None:
            found = ruled.servers[server].query(f'{name}{{job="shop"}}')
            return abs(float(found[0]["value"][1]) - share) < 0.02 or None if found else None

        poll(f"{name} is {share:.2f}", is_right, LIMIT)


@each_server
@pytest.mark.parametrize("alert", ["OutriderErrorBudgetBurn", "OutriderLatencyBudgetBurn"])
def test_budget_alerts_fire(servers: dict[str, Prometheus], server: str, alert: str) -> None:
    servers[server].await_samples(f'ALERTS{{alertname="{alert}",alertstate="firing",job="shop"}}')


@each_server
def test_a_late_executor_fires_an_alert(servers: dict[str, Prometheus], probe: RuntimeLab, server: str) -> None:
    def fires() -> bool | None:
        block_main_actor(probe, 5)
        return bool(servers[server].query('ALERTS{alertname="OutriderExecutorDelay",alertstate="firing",executor="main"}')) or None

    poll("the alert on the main actor's delay fires", fires, LIMIT)


@each_server
def test_each_server_has_its_kind_of_histogram(servers: dict[str, Prometheus], server: str) -> None:
    # Otherwise the tests above could check the same kind twice.
    name = "http_request_duration_seconds" if "naming" in server else "http_server_request_duration_seconds"
    expected, other = (name, f"{name}_bucket") if "native" in server else (f"{name}_bucket", name)
    # A scrape that a busy machine delays past its timeout ends all series until the next one.
    servers[server].await_samples(expected)
    assert not servers[server].query(f"last_over_time({other}[1h])")


@each_server
def test_no_rule_fails(servers: dict[str, Prometheus], server: str) -> None:
    groups = servers[server].api("rules")["groups"]
    assert groups and not [rule for group in groups for rule in group["rules"] if rule["health"] == "err"]
