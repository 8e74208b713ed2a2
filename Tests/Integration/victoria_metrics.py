# SPDX-License-Identifier: Apache-2.0
"""A real VictoriaMetrics server, and a comparison of its query results with those of a Prometheus
that has the same samples."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import promql_parser as promql

from boards import FOLDER, nodes, parsed
from harness import Process, poll, system_binary
from ports import reserved_port
from prometheus_server import Prometheus, PrometheusAPI, scrape

FILES = FOLDER / "victoria-metrics"
"""Files made for it, where the Prometheus file of the same name does not work."""
TOLERANCE = 0.3
"""The tolerated relative difference of two results: VictoriaMetrics includes the last sample before
a window, and Prometheus extrapolates to its ends. Without a window both are exact."""
CLOSE_SHARE = 0.75
"""The share of series whose results must be close. A counter that grows once in a window may have
grown just before its first sample, which only one of them counts."""

BEHIND = 2.0
"""Seconds after which all samples of a scrape have arrived."""

Results = dict[frozenset[tuple[str, str]], float]


class VictoriaMetrics(Process, PrometheusAPI):
    """A VictoriaMetrics with its own database, which scrapes targets, or receives samples at
    `write_url`."""

    def __init__(self, folder: Path, jobs: Mapping[str, str] | None = None, interval: str = Prometheus.INTERVAL) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        own = f"127.0.0.1:{reserved_port()}"
        PrometheusAPI.__init__(self, f"http://{own}")
        self.write_url = f"{self.url}/api/v1/write"
        scrapes = [scrape(name, target_path) for name, target_path in (jobs or {}).items()]
        content = {"global": {"scrape_interval": interval, "scrape_timeout": interval}, "scrape_configs": scrapes}
        config = folder / "scrapes.yml"
        # JSON is YAML as well.
        config.write_text(json.dumps(content))
        super().__init__(
            [
                system_binary("victoria-metrics"), f"-storageDataPath={folder / 'data'}", f"-httpListenAddr={own}",
                f"-promscrape.config={config}", "-retentionPeriod=1",
                # Otherwise samples of the last half minute are hidden.
                "-search.latencyOffset=0s", f"-memory.allowedBytes={128 << 20}",
            ],
            folder / "victoria-metrics.log",
        )


def query_results(server: PrometheusAPI, expression: str, at: float) -> Results:
    """The result of a query at a time, by labels. Drops the name, which only one of the servers
    keeps after `min_over_time` and the like, and NaN and infinities, which only the other one
    returns."""
    found: list[dict[str, Any]] = server.query(expression, at)
    shown = {frozenset((k, v) for k, v in one["metric"].items() if k != "__name__"): float(one["value"][1]) for one in found if "value" in one}
    return {labels: value for labels, value in shown.items() if math.isfinite(value)}


def difference(ours: Results, others: Results) -> str:
    """The difference between two results; empty if they agree."""
    if ours.keys() != others.keys():
        return f"only in the first {list(map(dict, ours.keys() - others.keys()))[:3]}, only in the second {list(map(dict, others.keys() - ours.keys()))[:3]}"
    far = [(dict(labels), value, others[labels]) for labels, value in ours.items() if not math.isclose(value, others[labels], rel_tol=TOLERANCE, abs_tol=1e-9)]
    return f"{len(far)} of {len(ours)} differ too much: {far[:3]}" if len(far) > (1 - CLOSE_SHARE) * len(ours) else ""


def agree(prometheus: PrometheusAPI, victoria: VictoriaMetrics, expression: str, seconds: float) -> Results:
    """Waits for a time at which both servers agree; returns the result."""
    problem = ""

    def attempt() -> Results | None:
        nonlocal problem
        found = victoria.query("max(timestamp(up))")
        if not found:
            return None
        # All samples scraped before have arrived.
        at = float(found[0]["value"][1]) - BEHIND
        ours, others = query_results(victoria, spelled(expression), at), query_results(prometheus, expression, at)
        problem = difference(ours, others)
        return ours if not problem else None

    try:
        return poll(f"both servers agree on {expression}", attempt, seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}: {problem}") from None


def spelled(expression: str) -> str:
    """A query in VictoriaMetrics' spelling, whose `changes` also counts the first sample of a
    series."""
    return expression.replace("changes(", "changes_prometheus(")


def usual(expression: str) -> str:
    """The same query in Prometheus' spelling."""
    return expression.replace("changes_prometheus(", "changes(")


def shortened(expression: str, window: str) -> str:
    """A query with shorter windows: its own exceed the duration of a test."""
    return re.sub(r"\[\d+[mhd]\]", f"[{window}]", expression)


def parts(expression: str) -> list[str]:
    """The distinct calls and aggregations in a query."""
    found = [node for node, _ in nodes(parsed(expression)) if isinstance(node, promql.Call | promql.AggregateExpr)]
    return list(dict.fromkeys(str(node) for node in found if not isinstance(node, promql.Call) or node.func.name != "time"))
