# SPDX-License-Identifier: Apache-2.0
"""The form of the dashboard: what makes it import cleanly and read well."""

import json
import re
from typing import Any

import pytest

from harness import ROOT

BOARD: dict[str, Any] = json.loads((ROOT / "dashboards/outrider-service.json").read_text())
PANELS: list[dict[str, Any]] = BOARD["panels"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
VARIABLES = {variable["name"]: variable for variable in BOARD["templating"]["list"]}

# Units that Grafana knows, as far as this dashboard needs them.
UNITS = {"s", "bytes", "short", "percentunit", "reqps"}
COLUMNS = 24
# Labels that a query may group or join by.
LABELS = {"job", "instance", "le", "http_request_method", "http_route"}

each_panel = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
each_expression = pytest.mark.parametrize("expression", EXPRESSIONS)


def datasources(node: Any) -> list[Any]:
    """Every data source that is named anywhere below a node."""
    if isinstance(node, list):
        return [found for item in node for found in datasources(item)]
    if not isinstance(node, dict):
        return []
    own = [node["datasource"]] if "datasource" in node else []
    return own + [found for item in node.values() for found in datasources(item)]


def selectors(expression: str) -> list[str]:
    """What stands in each pair of braces of a query."""
    return re.findall(r"\{([^}]*)\}", expression)


def test_it_keeps_its_address_and_needs_no_questions_at_import() -> None:
    assert BOARD["uid"] == "outrider-service"
    assert "__inputs" not in BOARD and "__requires" not in BOARD and "id" not in BOARD


def test_its_schema_is_one_that_grafana_imports_without_a_migration_of_panels() -> None:
    assert 39 <= BOARD["schemaVersion"] <= 41


def test_panels_share_a_crosshair() -> None:
    assert BOARD["graphTooltip"] == 1


def test_panel_ids_and_titles_are_unique() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)


def test_panels_lie_within_the_grid_and_none_covers_another() -> None:
    covered: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        right, bottom = place["x"] + place["w"], place["y"] + place["h"]
        assert 0 <= place["x"] < right <= COLUMNS, panel["title"]
        cells = {(x, y) for x in range(place["x"], right) for y in range(place["y"], bottom)}
        assert not covered & cells, panel["title"]
        covered |= cells


@each_panel
def test_every_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert len(panel["description"]) > 20 and panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS


@each_panel
def test_every_legend_has_names_and_values(panel: dict[str, Any]) -> None:
    legend = panel["options"]["legend"]
    assert legend["showLegend"] and legend["displayMode"] == "table" and legend["calcs"]
    assert all(target["legendFormat"] for target in panel["targets"])


@each_panel
def test_the_queries_of_a_panel_can_be_told_apart(panel: dict[str, Any]) -> None:
    targets = panel["targets"]
    assert len({target["refId"] for target in targets}) == len(targets) > 0
    assert len({target["legendFormat"] for target in targets}) == len(targets)


def test_every_query_asks_the_data_source_that_the_reader_chose() -> None:
    assert VARIABLES["datasource"]["type"] == "datasource"
    assert VARIABLES["datasource"]["query"] == "prometheus"
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert all(panel["datasource"] == chosen for panel in PANELS)
    assert all(target["datasource"] == chosen for panel in PANELS for target in panel["targets"])
    assert all(found == chosen for found in datasources(PANELS))
    assert all(found == chosen for found in datasources(BOARD["templating"]))


@pytest.mark.parametrize("name", ["job", "instance"])
def test_a_reader_can_choose_some_or_all_targets(name: str) -> None:
    variable = VARIABLES[name]
    assert variable["multi"] and variable["includeAll"] and variable["allValue"] == ".+"
    assert "outrider_build_info" in variable["query"]
    # 2: asked again whenever the time range changes.
    assert variable["refresh"] == 2


@each_expression
def test_every_selector_of_a_query_follows_that_choice(expression: str) -> None:
    assert selectors(expression)
    for selector in selectors(expression):
        assert 'job=~"$job"' in selector and 'instance=~"$instance"' in selector


@each_expression
def test_a_query_groups_by_labels_that_exist(expression: str) -> None:
    for names in re.findall(r"\b(?:by|on|without|ignoring) \(([^)]*)\)", expression):
        assert set(names.split(", ")) <= LABELS


@each_expression
def test_every_range_fits_the_scrape_interval(expression: str) -> None:
    assert set(re.findall(r"\[([^]]*)\]", expression)) <= {"$__rate_interval"}


@each_expression
def test_a_metric_that_others_export_too_is_limited_to_our_targets(expression: str) -> None:
    if re.search(r"\b(process|scrape)_", expression):
        assert re.search(r"\band on \(job, instance\) outrider_build_info\{", expression)


@each_expression
def test_a_counter_is_shown_as_a_rate(expression: str) -> None:
    counter = r"\b\w+_(?:total|bucket|sum|count)\{"
    assert re.findall(counter, expression) == re.findall(rf"rate\(({counter})", expression)
