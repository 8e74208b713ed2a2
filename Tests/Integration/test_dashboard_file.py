# SPDX-License-Identifier: Apache-2.0
"""Structure of the dashboards: rules for a clean import and readable panels, and mutants that must
fail them."""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from board_checks import CHECKS, problems
from boards import BOARDS, FOLDER, FOREIGN, Board, expressions_of, listed, metrics_of, panels_of
from grafana_schema import SCHEMAS

pytestmark = pytest.mark.compute

each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


@each_board
@pytest.mark.parametrize("check", CHECKS)
def test_every_dashboard_passes_the_check(board: Board, check: str) -> None:
    if check == "grafana-schema" and SCHEMAS is None:
        pytest.skip("Grafana's schemas are not beside the clone")
    assert list(CHECKS[check](board)) == []


def test_there_are_four_dashboards_and_two_variants() -> None:
    assert sorted(BOARDS) == [
        "outrider-agent", "outrider-fleet", "outrider-fleet-prometheus", "outrider-runtime", "outrider-service",
        "outrider-service-prometheus",
    ]
    assert all(board["uid"] == name for name, board in BOARDS.items())


def metrics_in_use() -> set[str]:
    """The metrics used by some panel or annotation."""
    return {metric for board in BOARDS.values() for _, expression in expressions_of(board) for metric in metrics_of(expression)}


def test_every_metric_is_on_a_panel_or_listed_as_left_out() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    section = readme.split("\n## Not on a panel\n")[1].split("\n#")[0]
    on_purpose = dict(re.findall(r"^\| `([a-z_]+)` \| (.{20,}) \|$", section, re.M))
    assert set(listed()) - metrics_in_use() == set(on_purpose)
    assert metrics_in_use() - set(listed()) == FOREIGN - {"up"}


def latency(board: Board) -> dict[str, Any]:
    """The panel that the mutants change."""
    return next(panel for panel in panels_of(board) if panel["title"] == "p99 by route")


def set_query(expression: str) -> Callable[[Board], None]:
    """Replaces the panel's query."""
    def changed(board: Board) -> None:
        latency(board)["targets"][0]["expr"] = expression

    return changed


def in_query(old: str, new: str) -> Callable[[Board], None]:
    """Replaces text in the panel's query."""
    def changed(board: Board) -> None:
        target = latency(board)["targets"][0]
        assert old in target["expr"]
        target["expr"] = target["expr"].replace(old, new)

    return changed


def put(path: str, value: Any) -> Callable[[Board], None]:
    """Sets a value at a path within the panel."""
    def changed(board: Board) -> None:
        node: Any = latency(board)
        *way, last = path.split(".")
        for step in way:
            node = node[int(step) if step.isdigit() else step]
        node[last] = value

    return changed


def put_at_top(key: str, value: Any) -> Callable[[Board], None]:
    """Sets a key of the dashboard."""
    def changed(board: Board) -> None:
        board[key] = value

    return changed


MUTANTS: dict[str, tuple[Callable[[Board], None], str]] = {
    "a misspelt metric": (in_query("http_server_request_duration", "http_server_requests_duration"), "metrics"),
    "a wrong label": (in_query("http_route)", "path)"), "labels"),
    "a matcher of an unknown label": (in_query("http_route=~", "path=~"), "labels"),
    "a legend of another label": (put("targets.0.legendFormat", "{{path}}"), "labels"),
    "a query that does not parse": (in_query("sum by", "sum of"), "target-promql"),
    "an unknown variable": (in_query("$route", "$path"), "target-promql"),
    "an unknown unit": (put("fieldConfig.defaults.unit", "seconds"), "panel-units"),
    "no unit": (lambda board: latency(board)["fieldConfig"]["defaults"].pop("unit"), "panel-units"),
    "no description": (lambda board: latency(board).pop("description"), "panel-title-description"),
    "an unknown key": (put("tooltips", True), "grafana-model"),
    "a wrong type": (put("gridPos.w", "8"), "layout"),
    "overlapping panels": (put("gridPos.x", 12), "layout"),
    "a counter without rate": (set_query("http_requests_total{}"), "target-counter-agg"),
    "a rate of a gauge": (set_query("rate(process_threads{}[$__rate_interval])"), "target-counter-agg"),
    "a fixed window": (in_query("$__rate_interval", "5m"), "target-rate-interval"),
    "a query of every job": (in_query('job=~"$job",', ""), "target-job and target-instance"),
    "targets without Outrider": (in_query(" and on (cluster, namespace, job, instance)", " or "), "ours"),
    "classic histograms alone": (lambda board: set_query(latency(board)["targets"][0]["expr"].split(" or histogram_quantile")[0])(board),
                                 "both-histograms"),
    "a link without an instance label": (put("fieldConfig.defaults.links", [{"url": "http://${__field.labels.instance}/"}]), "links-of-instances"),
    "another data source": (put("datasource", {"type": "prometheus", "uid": "P1"}), "panel-datasource"),
    "a threshold without a reason": (put("fieldConfig.defaults.thresholds", {
        "mode": "absolute", "steps": [{"color": "green", "value": None}, {"color": "red", "value": 1}]}), "threshold-reason"),
    "a legend without values": (put("options.legend.calcs", []), "legend"),
    "inputs": (put_at_top("__inputs", []), "import"),
    "an old schema": (put_at_top("schemaVersion", 30), "import"),
    "no annotations": (put_at_top("annotations", {"list": []}), "annotations-and-links"),
    "no links": (put_at_top("links", []), "annotations-and-links"),
    "no variables": (put_at_top("templating", {"list": []}), "template-datasource"),
    "no exemplars": (lambda board: [t.update(exemplar=False) for p in panels_of(board) for t in p["targets"]], "latency-exemplars"),
}


@pytest.mark.parametrize(("mutate", "check"), MUTANTS.values(), ids=MUTANTS)
def test_a_mutant_fails_its_check(mutate: Callable[[Board], Any], check: str) -> None:
    board = copy.deepcopy(BOARDS["outrider-service"])
    assert check not in problems(board, check)
    mutate(board)
    assert check in problems(board, check)
