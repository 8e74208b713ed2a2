# SPDX-License-Identifier: Apache-2.0
"""Each query of the dashboard, asked of a real Prometheus that scrapes the example service."""

import json
import math
import re
from typing import Any

import pytest

from harness import ROOT, poll
from prometheus_server import Prometheus

BOARD: dict[str, Any] = json.loads((ROOT / "dashboards/outrider-service.json").read_text())
TARGETS = {
    f"{panel['title']}, {target['legendFormat']}": target
    for panel in BOARD["panels"]
    for target in panel["targets"]
}
QUERIES = {name: target["expr"] for name, target in TARGETS.items()}
PROCESS_METRICS = ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"]

each_query = pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)


def resolved(expression: str) -> str:
    """A query as Grafana would send it when all jobs and instances are chosen."""
    values = {"$job": ".+", "$instance": ".+", "$__rate_interval": "4s"}
    for name, value in values.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, f"{expression} has a variable that no test resolves"
    return expression


def await_numbers(prometheus: Prometheus, query: str) -> list[dict[str, Any]]:
    """The samples of a query, once there are some and all of them are finite."""

    def attempt() -> list[dict[str, Any]] | None:
        samples = prometheus.query(resolved(query))
        finite = all(math.isfinite(float(sample["value"][1])) for sample in samples)
        return samples if samples and finite else None

    return poll(f"{query} has numbers", attempt)


@each_query
def test_every_query_has_numbers_to_draw(prometheus: Prometheus, query: str) -> None:
    assert await_numbers(prometheus, query)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_name_in_a_legend_is_a_label_of_what_is_drawn(
    prometheus: Prometheus, target: dict[str, Any]
) -> None:
    names = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    for sample in await_numbers(prometheus, target["expr"]):
        assert names == set(sample["metric"]) - {"__name__"}


@each_query
def test_no_query_shows_a_process_that_is_not_ours(prometheus: Prometheus, query: str) -> None:
    samples = await_numbers(prometheus, query)
    assert {sample["metric"].get("job", "quickstart") for sample in samples} == {"quickstart"}


@pytest.mark.parametrize("name", PROCESS_METRICS)
def test_prometheus_itself_would_be_shown_if_nothing_prevented_it(
    prometheus: Prometheus, name: str
) -> None:
    # Without this the test above could pass for want of a second process.
    prometheus.await_samples(f'{name}{{job="prometheus"}}')
    jobs = {sample["metric"]["job"] for sample in prometheus.await_samples(name)}
    assert jobs == {"quickstart", "prometheus"}


def test_the_variables_offer_our_targets_only(prometheus: Prometheus) -> None:
    prometheus.await_samples("outrider_build_info")
    series = prometheus.api("series", **{"match[]": "outrider_build_info"})
    assert {(one["job"], one["instance"]) for one in series} == {
        ("quickstart", series[0]["instance"])
    }
    own = prometheus.query('up{job="quickstart"}')[0]["metric"]["instance"]
    assert series[0]["instance"] == own


def test_the_error_ratio_counts_the_requests_that_were_refused(prometheus: Prometheus) -> None:
    # One in ten customers of the quickstart asks for what it does not have.
    query = next(query for name, query in QUERIES.items() if "4xx" in name)
    assert await_numbers(prometheus, query)
    prometheus.await_samples(f"({resolved(query)}) > 0 < 1")
