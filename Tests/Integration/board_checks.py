# SPDX-License-Identifier: Apache-2.0
"""Checks for every dashboard; each yields the problems that it finds.

Some are rules of Grafana's dashboard-linter, with the linter's names, reimplemented with a PromQL
parser for Python. The linter's two rules about Loki do not apply.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import promql_parser as promql

from boards import (
    FOREIGN, SOURCE, TARGET_LABELS, WINDOW, Board, expressions_of, family, listed, matchers, nodes, panels_of, parsed, resolved,
    rows_of, selectors, targets_of,
)
from grafana_schema import SCHEMAS, against_model, against_schemas

Problems = Iterator[str]
UNITS = {"s", "bytes", "Bps", "short", "percentunit", "reqps", "cps"}
"""The units of Grafana that these dashboards use."""
COLUMNS = 24
RATES = {"rate", "increase", "irate"}
INFO = "outrider_build_info"
CHECKS: dict[str, Callable[[Board], Problems]] = {}


def check(name: str) -> Callable[[Callable[[Board], Problems]], Callable[[Board], Problems]]:
    """Registers a function as a check."""
    def added(function: Callable[[Board], Problems]) -> Callable[[Board], Problems]:
        CHECKS[name] = function
        return function

    return added


def problems(board: Board, *checks: str) -> dict[str, list[str]]:
    """The problems of a dashboard by check; runs the named checks, or all of them."""
    found = {}
    for name in checks or CHECKS:
        try:
            messages = list(CHECKS[name](board))
        except (KeyError, IndexError, TypeError, ValueError, AssertionError) as error:
            messages = [f"{type(error).__name__}: {error}"]
        if messages:
            found[name] = messages
    return found


# Rules of Grafana's.


@check("grafana-schema")
def _(board: Board) -> Problems:
    yield from against_schemas(board) if SCHEMAS else []


@check("grafana-model")
def _(board: Board) -> Problems:
    yield from against_model(board)


@check("import")
def _(board: Board) -> Problems:
    for key in ("__inputs", "__requires", "id"):
        if key in board:
            yield f"{key} makes an import prompt, or overwrite another dashboard"
    if not 39 <= board["schemaVersion"] <= 41:
        yield f"schema {board['schemaVersion']} is migrated at import"
    if not re.fullmatch(r"outrider-[a-z-]{1,31}", board["uid"]):
        yield f"uid {board['uid']}"


@check("uneditable-dashboard")
def _(board: Board) -> Problems:
    if board["editable"]:
        yield "edits in Grafana are lost at the next provisioning"


@check("layout")
def _(board: Board) -> Problems:
    panels = board["panels"]
    if len({panel["id"] for panel in panels}) != len(panels):
        yield "two panels have the same id"
    covered: set[tuple[int, int]] = set()
    for panel in panels:
        grid = panel["gridPos"]
        right, bottom = grid["x"] + grid["w"], grid["y"] + grid["h"]
        cells = {(x, y) for x in range(grid["x"], right) for y in range(grid["y"], bottom)}
        if right > COLUMNS or covered & cells:
            yield f"{panel['title']} lies outside the grid, or overlaps another panel"
        covered |= cells
    for name in (row["title"] for row in rows_of(board)):
        if not name:
            yield "a row has no title"
    width = {row: sum(1 for x, y in covered if y == row) for row in {y for _, y in covered}}
    for row, cells_of_row in width.items():
        if cells_of_row not in {COLUMNS, 16, 8, 12}:
            yield f"row {row} fills {cells_of_row} columns"


@check("panel-title-description")
def _(board: Board) -> Problems:
    titles = [panel["title"] for panel in panels_of(board)]
    for panel in panels_of(board):
        if not panel["title"] or len(panel.get("description", "")) < 25 or not panel["description"].endswith("."):
            yield f"{panel['title']} has no title, or a description that is too short or lacks its full stop"
    in_rows: dict[str, int] = {}
    for title in titles:
        in_rows[title] = in_rows.get(title, 0) + 1
    for title, count in in_rows.items():
        if count > 2:
            yield f"{title} is the title of {count} panels"


@check("panel-units")
def _(board: Board) -> Problems:
    for panel in panels_of(board):
        if panel["fieldConfig"]["defaults"].get("unit") not in UNITS:
            yield f"{panel['title']} has a unit outside UNITS"


@check("panel-no-targets")
def _(board: Board) -> Problems:
    for panel in panels_of(board):
        ids = [target["refId"] for target in panel["targets"]]
        if not ids or len(set(ids)) != len(ids):
            yield f"{panel['title']}: empty or duplicate query ids: {ids}"


@check("legend")
def _(board: Board) -> Problems:
    for panel in panels_of(board):
        if panel["type"] == "timeseries":
            legend = panel["options"]["legend"]
            if not legend["showLegend"] or legend["displayMode"] != "table" or not legend["calcs"]:
                yield f"{panel['title']}: its legend shows no values"
        names = [target["legendFormat"] for target in panel["targets"]]
        if panel["type"] != "table" and (not all(names) or len(set(names)) != len(names)):
            yield f"{panel['title']}: empty or duplicate legends: {names}"


@check("threshold-reason")
def _(board: Board) -> Problems:
    for panel in panels_of(board):
        for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])[1:]:
            if f"{step['color'].capitalize()} from {step['value']:g}: " not in panel["description"]:
                yield f"{panel['title']}: the description does not explain {step['color']} from {step['value']}"


@check("crosshair")
def _(board: Board) -> Problems:
    if board["graphTooltip"] != 1:
        yield "the panels share no crosshair"


@check("annotations-and-links")
def _(board: Board) -> Problems:
    if {one["name"] for one in board["annotations"]["list"] if one["enable"]} != {"Restarts", "Deploys"}:
        yield "restarts and deploys are not marked"
    for one in board["links"]:
        if one["type"] == "dashboards" and one["includeVars"] and one["keepTime"] and set(one["tags"]) <= set(board["tags"]):
            break
    else:
        yield "no link to the other dashboards keeps the selected variables and time range"


# Variables.


@check("template-datasource")
def _(board: Board) -> Problems:
    first = board["templating"]["list"][0]
    if (first["name"], first["type"], first["query"], first["label"]) != ("datasource", "datasource", "prometheus", "Data source"):
        yield "the first variable is not a data source"


def queried(board: Board) -> Iterator[dict[str, Any]]:
    """The variables that query Prometheus."""
    return (one for one in board["templating"]["list"] if one["type"] == "query")


@check("template-job")
def _(board: Board) -> Problems:
    variables = {one["name"]: one for one in queried(board)}
    wanted = {"cluster": ".*", "namespace": ".*", "job": ".+", "instance": ".+"}
    # A dashboard with panels by route needs a variable for the route.
    if "http_route=~" in str(board["panels"]) or ",route=~" in str(board["panels"]):
        wanted["route"] = ".*"
    if list(variables) != list(wanted):
        yield f"the variables are {list(variables)}"
    for name, value in wanted.items():
        one = variables[name]
        if not (one["multi"] and one["includeAll"] and one["allValue"] == value and one["label"] == name.capitalize()):
            yield f"{name} is not a choice of some or all values"


@check("template-on-time-change-reload")
def _(board: Board) -> Problems:
    for one in queried(board):
        if one["refresh"] != 2:
            yield f"{one['name']} is not refreshed when the time range changes"


@check("template-label-promql")
def _(board: Board) -> Problems:
    known: set[str] = set()
    for one in queried(board):
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", one["query"])
        if not found:
            yield f"{one['name']} has the query {one['query']}"
            continue
        used = {value for selector, _ in selectors(found[1]) for value in matchers(selector).values() if value.startswith("$")}
        if used - known:
            yield f"{one['name']} uses {used - known}, which come after it"
        known.add(f"${one['name']}")
        if INFO not in found[1] and "job=~" not in found[1]:
            yield f"{one['name']} offers targets without Outrider"


# Queries.


def datasources(node: Any) -> list[Any]:
    """Every data source named below a node."""
    if isinstance(node, list):
        return [found for item in node for found in datasources(item)]
    if not isinstance(node, dict):
        return []
    own = [node["datasource"]] if "datasource" in node else []
    return own + [found for item in node.values() for found in datasources(item)]


@check("panel-datasource")
def _(board: Board) -> Problems:
    for panel in panels_of(board):
        if panel["datasource"] != SOURCE:
            yield f"{panel['title']} uses {panel['datasource']}"
    if any(found != SOURCE for found in datasources([panels_of(board), board["templating"], board["annotations"]])):
        yield "a query uses another data source"


@check("target-promql")
def _(board: Board) -> Problems:
    for name, expression in expressions_of(board):
        try:
            parsed(expression)
            resolved(expression)
        except (ValueError, AssertionError) as error:
            yield f"{name}: {error}"


@check("target-rate-interval")
def _(board: Board) -> Problems:
    for name, expression in expressions_of(board):
        if set(re.findall(r"\[([^]]*)\]", expression)) - {WINDOW}:
            yield f"{name}: a window that does not fit the scrape interval"


@check("target-job and target-instance")
def _(board: Board) -> Problems:
    for name, expression in expressions_of(board):
        for selector, _ in selectors(expression):
            asked = matchers(selector)
            if any(asked.get(label) != f"${label}" for label in TARGET_LABELS):
                yield f"{name}: {selector.name} does not filter by the selected variables"


@check("ours")
def _(board: Board) -> Problems:
    for name, expression in expressions_of(board):
        for selector, above in selectors(expression):
            joined = any(
                isinstance(node, promql.BinaryExpr) and str(node.op) == "and" and INFO in str(node.rhs)
                and f"on ({', '.join(('cluster', 'namespace', 'job', 'instance'))})" in str(node.modifier)
                for node in above
            )
            if not joined and selector.name != INFO:
                yield f"{name}: {selector.name} of targets without Outrider"


@check("target-counter-agg")
def _(board: Board) -> Problems:
    for name, expression in expressions_of(board):
        for selector, above in selectors(expression):
            of = family(selector.name)
            counts = of in listed() and (listed()[of][0] == "counter" or of != selector.name)
            rated = any(isinstance(node, promql.Call) and node.func.name in RATES for node in above)
            if counts != rated and not (rated and of in listed() and listed()[of][0] == "histogram"):
                yield f"{name}: {selector.name} is {'not ' if rated else ''}a counter{'' if rated else ' without a rate'}"


@check("metrics")
def _(board: Board) -> Problems:
    for name, expression in expressions_of(board):
        for selector, _ in selectors(expression):
            if family(selector.name) not in listed().keys() | FOREIGN:
                yield f"{name}: {selector.name} is not in docs/metrics.md"


@check("labels")
def _(board: Board) -> Problems:
    everywhere = TARGET_LABELS | {"le", "service_version"}
    for name, expression in expressions_of(board):
        known = set(everywhere)
        for selector, _ in selectors(expression):
            own = everywhere | listed().get(family(selector.name), ("", set()))[1]
            known |= own
            if set(matchers(selector)) - own:
                yield f"{name}: {selector.name} has no label {set(matchers(selector)) - own}"
        for node, _ in nodes(parsed(expression)):
            if isinstance(node, promql.AggregateExpr) and node.modifier:
                if set(node.modifier.labels) - known:
                    yield f"{name}: no selected metric has the labels {set(node.modifier.labels) - known}"
    for panel, target in targets_of(board):
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            if not re.search(rf"by \([^)]*\b{label}\b", target["expr"]):
                yield f"{panel['title']}: the legend uses the label {label}, which the query does not keep"


@check("links-of-instances")
def _(board: Board) -> Problems:
    for panel in panels_of(board):
        ways = panel["fieldConfig"]["defaults"].get("links", [])
        for target in panel["targets"]:
            if any("__field.labels.instance" in way["url"] for way in ways) and not re.search(r"by \([^)]*\binstance\b", target["expr"]):
                yield f"{panel['title']}: {target['legendFormat']} keeps no instance label, so its links are broken"


@check("both-histograms")
def _(board: Board) -> Problems:
    for panel in panels_of(board):
        together = " ".join(target["expr"] for target in panel["targets"])
        for target in panel["targets"]:
            for selector, _ in selectors(target["expr"]):
                of = family(selector.name)
                if of != selector.name and not re.search(rf"\b{of}\{{", together):
                    yield f"{panel['title']}: {of} has no variant for native histograms"


@check("latency-exemplars")
def _(board: Board) -> Problems:
    if board["uid"].startswith("outrider-service"):
        drawn = [target for _, target in targets_of(board) if target.get("exemplar")]
        if len(drawn) < 2:
            yield "fewer than two latency queries have exemplars"
