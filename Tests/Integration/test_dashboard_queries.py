# SPDX-License-Identifier: Apache-2.0
"""Each variable, panel and annotation of the dashboards, run against real Prometheus servers that
scrape services under load."""

import html
import json
import math
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from boards import BOARDS, listed, metrics_of, panels_of, resolved
from drawing import Drawing
from harness import poll
from monitored_services import TRACE, WINDOW, Monitored
from prometheus_server import Prometheus, PrometheusAPI
from victoria_metrics import FILES, agree, parts, shortened, usual

pytestmark = pytest.mark.wait

LIMIT = 240
"""Seconds within which each panel has data, on any machine."""
NOT_HERE = {
    "rpc_server_call_duration_seconds": "no example speaks gRPC; tests in Swift compare these with the list of metrics",
    "rpc_server_active_calls": "as above",
    "rpc_client_call_duration_seconds": "as above",
    "rpc_client_active_calls": "as above",
    "http_client_open_connections": "no example has AsyncHTTPClient; tests in Swift compare these with the list of metrics",
    "http_client_connection_duration_seconds": "as above",
    "log_messages_total": "no example counts its messages; a test in Swift compares it with the list of metrics",
    "cgroup_memory_limit_bytes": "only where there is a limit",
    "cgroup_pids": "not in the group of a whole machine",
    "cgroup_pids_limit": "only where there is a limit",
    "outrider_source_failures_total": "only on a machine that hides a file from the agent; tests in Swift hide some",
    "outrider_collector_failures_total": "only where a collector hangs; a test in Swift has one hang",
}
"""Metrics that are not exposed here, with the reason; panels of all other metrics must draw
data."""
OF_A_LIMIT = {"cgroup_cpu_limit_cores", "cgroup_cpu_periods_total"}
"""Metrics that need a CPU limit, which this machine may not let a test set."""
PANELS = {
    f"{name}: {panel['title']} ({panel['id']})": panel for name, board in BOARDS.items() for panel in panels_of(board)
}
FOR_VICTORIA = {
    f"{name}: {panel['title']} ({panel['id']})": panel
    for name, board in (BOARDS | {path.stem: json.loads(path.read_text()) for path in FILES.glob("*.json")}).items() for panel in panels_of(board)
}
RULES_FOR_VICTORIA = {
    rule.get("record") or rule["alert"]: rule["expr"]
    for group in yaml.safe_load((FILES / "outrider.rules.yml").read_text())["groups"] for rule in group["rules"]
}
VARIABLES = {
    f"{name}: {one['name']}": one for name, board in BOARDS.items() for one in board["templating"]["list"] if one["type"] == "query"
}


REQUESTS = "http_server_request_duration_seconds"
OF_A_TARGET = 'job=~".+",instance=~".+"'
OF_A_ROUTE = 'job="storefront",http_route="/orders/{id}",http_request_method="GET"'
DOTNET = {
    "19924 latency": f"histogram_quantile(0.99, sum by (le) (rate({REQUESTS}_bucket{{{OF_A_TARGET}}}[{WINDOW}])))",
    "19924 errors": f'sum(rate({REQUESTS}_bucket{{{OF_A_TARGET},http_response_status_code=~"4..|5.."}}[{WINDOW}]) or vector(0))',
    "19924 requests in flight": f"sum(http_server_active_requests{{{OF_A_TARGET}}})",
    "19924 requests": f"sum(increase({REQUESTS}_count{{{OF_A_TARGET}}}[{WINDOW}]))",
    "19924 exceptions": f'sum(increase({REQUESTS}_count{{{OF_A_TARGET},error_type!=""}}[{WINDOW}]))',
    "19924 by scheme": f"sum by (url_scheme) (increase({REQUESTS}_count{{{OF_A_TARGET}}}[{WINDOW}]))",
    "19924 by protocol": f'sum by (network_protocol_version) (increase({REQUESTS}_count{{{OF_A_TARGET}}}[{WINDOW}]))',
    "19924 top endpoints": f'topk(10, sum by (http_route, http_request_method) (increase({REQUESTS}_count{{{OF_A_TARGET},http_route!=""}}[{WINDOW}])))',
    "19925 latency": f"histogram_quantile(0.5, sum by (le) (rate({REQUESTS}_bucket{{{OF_A_ROUTE}}}[{WINDOW}])))",
    "19925 errors": f'sum(rate({REQUESTS}_count{{{OF_A_ROUTE},http_response_status_code=~"4..|5.."}}[{WINDOW}]) or vector(0)) / sum(rate({REQUESTS}_count{{{OF_A_ROUTE}}}[{WINDOW}]))',
    "19925 exceptions": f'sum by (error_type) (max_over_time({REQUESTS}_count{{http_request_method="GET",error_type!=""}}[{WINDOW}]))',
    "19925 by status": f"sum by (http_response_status_code) (max_over_time({REQUESTS}_count{{{OF_A_ROUTE}}}[{WINDOW}]))",
}
"""The queries on requests in the .NET team's dashboards, with their variables filled in. Their
panels of Kestrel's connections do not apply."""


@pytest.fixture(scope="module", name="live")
def fixture_live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    """Services under load."""
    with Monitored(tmp_path_factory.mktemp("monitored")) as live:
        yield live


def numbers(server: PrometheusAPI, expression: str) -> list[dict[str, Any]]:
    """The samples of a query that can be drawn: finite values, or native histograms."""
    return [
        sample for sample in server.query(resolved(expression, WINDOW))
        if "histogram" in sample or math.isfinite(float(sample["value"][1]))
    ]


@pytest.mark.parametrize("title", ["Restarts", "Deploys"])
def test_starts_and_versions_are_marked(live: Monitored, title: str) -> None:
    board = BOARDS["outrider-service"]
    annotation = next(one for one in board["annotations"]["list"] if one["name"] == title)
    # The chat and the probe do not set their version.
    jobs = {"storefront", "memory-lab"} if title == "Deploys" else {"storefront", "memory-lab", "chat", "probe"}
    # A start is marked for a minute only, which may have passed.
    at_any_time = f"count_over_time(({resolved(annotation['expr'])})[30m:1s])"

    def are_marked() -> bool | None:
        marked = live.classic.query(at_any_time)
        return {sample["metric"]["job"] for sample in marked} == jobs or None

    poll(f"{title} are marked", are_marked)


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
def test_every_panel_draws_data(live: Monitored, panel: dict[str, Any]) -> None:
    absent = set(NOT_HERE) if live.has_limit else set(NOT_HERE) | OF_A_LIMIT
    for kind, server in live.servers.items():
        for target in panel["targets"]:
            if metrics_of(target["expr"]) & absent:
                continue
            # A heatmap has one query for each kind of histogram.
            if panel["type"] == "heatmap" and (target["legendFormat"] == "native") != (kind == "native"):
                assert numbers(server, target["expr"]) == []
                continue
            drawn = poll(f"{panel['title']} draws {target['legendFormat']} in {kind}",
                         lambda server=server, target=target: numbers(server, target["expr"]) or None, LIMIT)  # type: ignore[misc]
            assert "prometheus" not in {sample["metric"].get("job") for sample in drawn}


@pytest.mark.parametrize("panel", FOR_VICTORIA.values(), ids=FOR_VICTORIA)
def test_every_panel_draws_the_same_in_victoria_metrics_as_in_prometheus(live: Monitored, panel: dict[str, Any]) -> None:
    absent = set(NOT_HERE) if live.has_limit else set(NOT_HERE) | OF_A_LIMIT
    for target in panel["targets"]:
        if target["legendFormat"] == "native":
            continue
        drawn = agree(live.classic, live.victoria, resolved(target["expr"], WINDOW), LIMIT)
        if not metrics_of(target["expr"]) & absent:
            poll(f"{panel['title']} draws {target['legendFormat']}",
                 lambda target=target, drawn=drawn: drawn or numbers(live.victoria, target["expr"]) or None, LIMIT)  # type: ignore[misc]


@pytest.mark.parametrize("name", RULES_FOR_VICTORIA)
def test_every_rule_evaluates_alike_in_victoria_metrics_and_prometheus(live: Monitored, name: str) -> None:
    expression = RULES_FOR_VICTORIA[name]
    live.victoria.query(expression)
    # Each subexpression as well, since most alerts do not fire.
    short = shortened(usual(expression), WINDOW)
    for part in (short, *parts(short)):
        agree(live.classic, live.victoria, part, LIMIT)


@pytest.mark.parametrize("title", ["Restarts", "Deploys"])
def test_starts_and_versions_are_marked_in_victoria_metrics_too(live: Monitored, title: str) -> None:
    board = BOARDS["outrider-service"]
    annotation = next(one for one in board["annotations"]["list"] if one["name"] == title)
    agree(live.classic, live.victoria, resolved(annotation["expr"], WINDOW), LIMIT)


def test_every_exempt_metric_is_listed_and_on_a_panel() -> None:
    asked = {metric for panel in PANELS.values() for target in panel["targets"] for metric in metrics_of(target["expr"])}
    assert set(NOT_HERE) <= listed().keys() and set(NOT_HERE) <= asked


def test_exempt_metrics_are_not_exposed(live: Monitored) -> None:
    # Otherwise the list above would exempt a panel that could be tested.
    for metric in NOT_HERE:
        if not metric.startswith(("cgroup_", "outrider_")):
            assert live.classic.query(f'{{__name__=~"{metric}(_count)?"}}') == []


def offered(server: PrometheusAPI, query: str) -> list[str]:
    """The values that a variable offers."""
    selector, label = resolved(query).removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
    found: list[str] = server.api(f"label/{label}/values", **{"match[]": selector})
    return found


@pytest.mark.parametrize("variable", VARIABLES.values(), ids=VARIABLES)
def test_every_variable_offers_targets_with_outrider_only(live: Monitored, variable: dict[str, Any]) -> None:
    ours = ["chat", "memory-lab", "probe", "storefront"]
    for server in (*live.servers.values(), live.victoria):
        poll("every service is scraped", lambda server=server: server.query(f"count(outrider_build_info) == {len(ours)}") or None)  # type: ignore[misc]
        match variable["name"]:
            case "cluster" | "namespace":
                # Without such a label the variable is empty, and its value for all matches series
                # without the label.
                assert offered(server, variable["query"]) == []
            case "job":
                assert offered(server, variable["query"]) == ours
            case "instance":
                assert len(offered(server, variable["query"])) == len(ours)
            case "route":
                poll("the route of an order is offered", lambda server=server: (  # type: ignore[misc]
                    {"/orders/:id", "/orders/{id}"} & set(offered(server, variable["query"])) or None))


def test_prometheus_exposes_the_same_process_metrics(live: Monitored) -> None:
    # Without this, the tests above could pass because no foreign process exposes these metrics.
    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"):
        live.classic.await_samples(f'{name}{{job="prometheus"}}')


@pytest.mark.parametrize("server", ["classic", "native"])
def test_latency_leads_to_traces(live: Monitored, server: str) -> None:
    asked: Prometheus = getattr(live, server)
    targets = [target for panel in panels_of(BOARDS["outrider-service"]) for target in panel["targets"] if target.get("exemplar")]

    def traces() -> bool | None:
        found = [one for target in targets for one in asked.exemplars(resolved(target["expr"], WINDOW))]
        return TRACE in {one["labels"]["trace_id"] for one in found} or None

    poll("an exemplar has the trace", traces)


@pytest.mark.parametrize("query", DOTNET.values(), ids=DOTNET)
def test_the_dotnet_dashboards_draw_our_requests(live: Monitored, query: str) -> None:
    poll(f"{query} has numbers", lambda: numbers(live.classic, query) or None, LIMIT)


@pytest.mark.parametrize("label", ["http_route", "http_request_method"])
def test_the_dotnet_dashboards_variables_have_values(live: Monitored, label: str) -> None:
    poll("the variable has values", lambda: offered(live.classic, f'label_values({REQUESTS}_count{{job="storefront"}}, {label})') or None)


@pytest.mark.parametrize("name", BOARDS)
def test_a_picture_shows_every_panel(live: Monitored, name: str) -> None:
    panels = panels_of(BOARDS[name])
    drawings: list[str] = []

    def empty() -> list[str]:
        page, _ = Drawing(live.classic, time.time(), 60, WINDOW).page(BOARDS[name])
        drawings[:] = page.split('<div class="panel"')[1:]
        return [
            panel["title"] for drawn, panel in zip(drawings, panels, strict=True)
            if "No data" in drawn and not any(metrics_of(target["expr"]) & (set(NOT_HERE) | OF_A_LIMIT) for target in panel["targets"])
        ]

    # Panels without data yet get some as the load continues.
    poll(f"every panel of {name} shows data", lambda: None if empty() else True, LIMIT)
    assert [re.search(r"<h2>(.*?)</h2>", drawn)[1] for drawn in drawings] == [html.escape(p["title"]) for p in panels]  # type: ignore[index]
