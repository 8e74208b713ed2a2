# SPDX-License-Identifier: Apache-2.0
"""A real VictoriaMetrics server, and its answers beside those of a Prometheus that has the same samples."""

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
"""What is made for it, where the file of this name for Prometheus will not do."""
NEAR = 0.3
"""By how much two answers may differ: VictoriaMetrics takes the last sample before a window into account, and Prometheus
extrapolates to its ends. Both are exact for what has no window."""
MOST = 0.75
"""The share of the series whose answers must be near. A counter that grows once in a window may have grown right before
the first sample of it, which only one of them counts."""

BEHIND = 2.0
"""Seconds after which all of what was scraped at a moment has arrived."""

Answers = dict[frozenset[tuple[str, str]], float]


class VictoriaMetrics(Process, PrometheusAPI):
    """A VictoriaMetrics with a database of its own, which scrapes some places, or has what is written to `write_url`."""

    def __init__(self, folder: Path, jobs: Mapping[str, str] | None = None, interval: str = Prometheus.INTERVAL) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        own = f"127.0.0.1:{reserved_port()}"
        PrometheusAPI.__init__(self, f"http://{own}")
        self.write_url = f"{self.url}/api/v1/write"
        scrapes = [scrape(name, place) for name, place in (jobs or {}).items()]
        content = {"global": {"scrape_interval": interval, "scrape_timeout": interval}, "scrape_configs": scrapes}
        config = folder / "scrapes.yml"
        # JSON is YAML as well.
        config.write_text(json.dumps(content))
        super().__init__(
            [
                system_binary("victoria-metrics"), f"-storageDataPath={folder / 'data'}", f"-httpListenAddr={own}",
                f"-promscrape.config={config}", "-retentionPeriod=1",
                # Else what came within half a minute is not shown.
                "-search.latencyOffset=0s", f"-memory.allowedBytes={128 << 20}",
            ],
            folder / "victoria-metrics.log",
        )


def answers(server: PrometheusAPI, expression: str, at: float) -> Answers:
    """What a server answers at a moment, by labels. Only one of them keeps the name after `min_over_time` and the like, and
    only the other shows what is not a number."""
    found: list[dict[str, Any]] = server.query(expression, at)
    shown = {frozenset((k, v) for k, v in one["metric"].items() if k != "__name__"): float(one["value"][1]) for one in found if "value" in one}
    return {labels: value for labels, value in shown.items() if math.isfinite(value)}


def difference(ours: Answers, others: Answers) -> str:
    """In what the answers of two servers differ; nothing if they are the same."""
    if ours.keys() != others.keys():
        return f"only here {list(map(dict, ours.keys() - others.keys()))[:3]}, only there {list(map(dict, others.keys() - ours.keys()))[:3]}"
    far = [(dict(labels), value, others[labels]) for labels, value in ours.items() if not math.isclose(value, others[labels], rel_tol=NEAR, abs_tol=1e-9)]
    return f"{len(far)} of {len(ours)} are far from each other: {far[:3]}" if len(far) > (1 - MOST) * len(ours) else ""


def agree(prometheus: PrometheusAPI, victoria: VictoriaMetrics, expression: str, seconds: float) -> Answers:
    """Waits for a moment at which both servers answer the same; returns what."""
    problem = ""

    def attempt() -> Answers | None:
        nonlocal problem
        found = victoria.query("max(timestamp(up))")
        if not found:
            return None
        # What was scraped before has arrived, all of it.
        at = float(found[0]["value"][1]) - BEHIND
        ours, others = answers(victoria, spelled(expression), at), answers(prometheus, expression, at)
        problem = difference(ours, others)
        return ours if not problem else None

    try:
        return poll(f"both answer {expression} alike", attempt, seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}: {problem}") from None


def spelled(expression: str) -> str:
    """A query as it is asked of VictoriaMetrics, where `changes` counts the first sample of a series too."""
    return expression.replace("changes(", "changes_prometheus(")


def usual(expression: str) -> str:
    """The same as it is asked of Prometheus."""
    return expression.replace("changes_prometheus(", "changes(")


def shortened(expression: str, window: str) -> str:
    """A query with short windows in place of its own, which are longer than a test."""
    return re.sub(r"\[\d+[mhd]\]", f"[{window}]", expression)


def parts(expression: str) -> list[str]:
    """The calls and the sums of a query, each once."""
    found = [node for node, _ in nodes(parsed(expression)) if isinstance(node, promql.Call | promql.AggregateExpr)]
    return list(dict.fromkeys(str(node) for node in found if not isinstance(node, promql.Call) or node.func.name != "time"))
