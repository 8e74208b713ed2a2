# SPDX-License-Identifier: Apache-2.0
"""The dashboards as data, and their PromQL, parsed by a third-party parser."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import promql_parser as promql

from harness import ROOT

FOLDER = ROOT / "dashboards"
Board = dict[str, Any]
BOARDS: dict[str, Board] = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WINDOW = "$__rate_interval"
FOREIGN = {"up", "scrape_duration_seconds", "scrape_samples_scraped"}
"""Metrics that Prometheus records for each target."""
TARGET_LABELS = {"cluster", "namespace", "job", "instance"}


def rows_of(board: Board) -> list[dict[str, Any]]:
    """The row titles of a dashboard."""
    return [panel for panel in board["panels"] if panel["type"] == "row"]


def panels_of(board: Board) -> list[dict[str, Any]]:
    """The panels that draw data."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def targets_of(board: Board) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each query with its panel."""
    for panel in panels_of(board):
        for target in panel["targets"]:
            yield panel, target


def expressions_of(board: Board) -> Iterator[tuple[str, str]]:
    """Each query, annotations included, with the title of its panel or annotation."""
    for panel, target in targets_of(board):
        yield panel["title"], target["expr"]
    for annotation in board["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def resolved(expression: str, window: str = "5m", jobs: str = ".+") -> str:
    """A query as Grafana sends it for all values of each variable, or for some jobs."""
    values = {
        "$__rate_interval": window, "$__interval_ms": "15000", "$cluster": ".*", "$namespace": ".*", "$job": jobs,
        "$instance": ".+", "$route": ".*",
    }
    for name, value in values.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, f"{expression} has a variable that this function does not resolve"
    return expression


@cache
def parsed(expression: str) -> Any:
    """The syntax tree of a query; raises ValueError if it does not parse. The window is five
    minutes."""
    return promql.parse(expression.replace("$__rate_interval", "5m").replace("$__interval_ms", "15000"))


def nodes(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Each node of a tree, with its ancestors."""
    yield node, above
    for name in ("args", "expr", "lhs", "rhs", "param", "vector_selector"):
        child = getattr(node, name, None)
        for one in child if isinstance(child, list) else [child]:
            if one is not None:
                yield from nodes(one, (*above, node))


def selectors(expression: str) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Each selector of a query, with its ancestors."""
    for node, above in nodes(parsed(expression)):
        if isinstance(node, promql.VectorSelector):
            yield node, above


def matchers(selector: Any) -> dict[str, str]:
    """The label matchers of a selector, as name and value."""
    return {matcher.name: matcher.value for matcher in selector.matchers.matchers}


@cache
def listed() -> dict[str, tuple[str, set[str]]]:
    """Type and labels of each metric in docs/metrics.md."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \| [^|]* \| ([^|]*) \|", (ROOT / "docs/metrics.md").read_text(), re.M)
    found = {name: (kind, set(re.findall(r"`([a-z_]+)`", labels))) for name, kind, labels in rows}
    for name, (kind, labels) in found.items():
        if labels == set() and "as the duration" in next(r[2] for r in rows if r[0] == name):
            found[name] = (kind, found["http_server_request_duration_seconds"][1])
    return found


def family(series: str) -> str:
    """The metric that a series belongs to."""
    bare = re.sub(r"_(bucket|count|sum)$", "", series)
    return bare if bare in listed() else series


def metrics_of(expression: str) -> set[str]:
    """The metrics that a query selects."""
    return {family(selector.name) for selector, _ in selectors(expression) if selector.name}
