# SPDX-License-Identifier: Apache-2.0
"""Panels in a common style: a description, a unit, thresholds with reasons, a legend with values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from functions import has_native_histograms

SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
INSTANCE = "http://${__field.labels.instance}"
"""The address of the agent of a series with the label `instance`."""
PAGE = ("Agent page of the instance", f"{INSTANCE}/")
HEAP = ("Heap profile of the instance (flame graph)", f"{INSTANCE}/debug/pprof/heap?format=flamegraph")
SITES = ("Allocation sites of the instance (flame graph)", f"{INSTANCE}/debug/pprof/allocs?format=flamegraph")
STALLS = ("Stalls of the instance, with stacks", f"{INSTANCE}/debug/stalls")
Link = tuple[str, str]


@dataclass(frozen=True)
class Query:
    """A query of a panel, and the legend of its series."""

    expression: str
    legend: str
    exemplars: bool = False
    """Whether exemplars are drawn, each with a link to its trace."""
    native: bool = False
    """Whether the query returns native histograms."""


@dataclass(frozen=True)
class Bound:
    """A threshold: panels use its colour from this value on, and describe the reason."""

    value: float
    colour: str
    reason: str


def described(text: str, bounds: Sequence[Bound]) -> str:
    """The description, with the reason for each colour."""
    return " ".join([text, *(f"{b.colour.capitalize()} from {b.value:g}: {b.reason}." for b in bounds)])


def targets(queries: Sequence[Query], instant: bool = False, form: PromQueryFormat = PromQueryFormat.TIME_SERIES) -> list[Any]:
    """The queries in Grafana's form."""
    converted = []
    for index, query in enumerate(queries):
        target = prometheus.Dataquery().ref_id(chr(ord("A") + index)).datasource(SOURCE)
        target = target.expr(query.expression).legend_format(query.legend).format(form)
        target = target.instant() if instant else target.range().exemplar(query.exemplars)
        converted.append(target)
    return converted


def steps(bounds: Sequence[Bound]) -> Any:
    """Grafana's thresholds; values below the first one are green."""
    first = model.Threshold(value=None, color="green")
    rest = [model.Threshold(value=bound.value, color=bound.colour) for bound in bounds]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps([first, *rest])


def links(given: Sequence[Link]) -> list[Any]:
    """Links of each series; they open in a new tab."""
    return [dashboard.DashboardLink(title).url(url).type(model.DashboardLinkType.LINK).target_blank(True) for title, url in given]


def graph(
    title: str, description: str, unit: str, *queries: Query, width: int = 8, height: int = 8, stacked: bool = False,
    most: float | None = None, bounds: Sequence[Bound] = (), to: Sequence[Link] = (),
) -> Any:
    """A graph over time; its axis starts at zero."""
    legend = common.VizLegendOptions().display_mode(shapes.LegendDisplayMode.TABLE).show_legend(True)
    legend = legend.placement(shapes.LegendPlacement.BOTTOM).calcs(["lastNotNull", "mean", "max"])
    tooltip = common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.DESCENDING)
    panel = timeseries.Panel().title(title).description(described(description, bounds)).unit(unit).datasource(SOURCE)
    panel = panel.span(width).height(height).legend(legend).tooltip(tooltip).targets(targets(queries))
    panel = panel.line_width(1).fill_opacity(30 if stacked else 8).show_points(shapes.VisibilityMode.AUTO)
    panel = panel.thresholds(steps(bounds)).min(0)
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL).group("A"))
    if most is not None:
        panel = panel.max(most)
    if bounds:
        panel = panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(shapes.GraphThresholdsStyleMode.DASHED))
    return panel.data_links(links(to)) if to else panel


def latest(
    title: str, description: str, unit: str, query: Query, width: int = 4, bounds: Sequence[Bound] = (),
    words: dict[int, tuple[str, str]] | None = None, to: Sequence[Link] = (),
) -> Any:
    """The latest value, with its graph behind it; `words` replaces some values by a coloured text."""
    panel = stat.Panel().title(title).description(described(description, bounds)).unit(unit).datasource(SOURCE)
    panel = panel.span(width).height(4).targets(targets([query])).thresholds(steps(bounds))
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields(""))
    panel = panel.graph_mode(shapes.BigValueGraphMode.AREA).color_mode(shapes.BigValueColorMode.VALUE)
    panel = panel.text_mode(shapes.BigValueTextMode.AUTO).justify_mode(shapes.BigValueJustifyMode.AUTO)
    if words:
        options = {
            str(value): model.ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(words.items())
        }
        panel = panel.mappings([model.ValueMap(options=options)])
    return panel.data_links(links(to)) if to else panel


def heat(title: str, description: str, unit: str, *queries: Query, width: int = 8, height: int = 8) -> Any:
    """A heat map: observations by bucket over time."""
    colour = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
    panel = heatmap.Panel().title(title).description(description).unit(unit).datasource(SOURCE)
    panel = panel.span(width).height(height).calculate(False).color(colour).cell_gap(1)
    panel = panel.y_axis(heatmap.YAxisConfig().unit(unit).axis_placement(shapes.AxisPlacement.LEFT))
    panel = panel.show_legend().exemplars_color("rgba(255,0,255,0.7)")
    supported = [query for query in queries if has_native_histograms() or not query.native]
    return panel.targets(targets(supported, form=PromQueryFormat.HEATMAP))


@dataclass(frozen=True)
class Column:
    """A column of a table: a query by target, with its name and unit."""

    name: str
    unit: str
    expression: str
    bounds: Sequence[Bound] = field(default=())


def target_table(
    title: str, description: str, columns: Sequence[Column], labels: dict[str, str], to: Sequence[Link], height: int = 10,
) -> Any:
    """A table with a row for each target: its labels, and a column for each query."""
    names = {f"Value #{chr(ord('A') + index)}": column.name for index, column in enumerate(columns)}
    bounds = [bound for column in columns for bound in column.bounds]
    panel = table.Panel().title(title).description(described(description, bounds)).unit("short").datasource(SOURCE)
    panel = panel.span(24).height(height).show_header(True).filterable(True)
    panel = panel.targets(targets([Query(c.expression, "") for c in columns], instant=True, form=PromQueryFormat.TABLE))
    panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    order = {name: index for index, name in enumerate([*labels, *names])}
    panel = panel.with_transformation(
        model.DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": {"Time": True}, "indexByName": order, "renameByName": labels | names},
        )
    )
    for column in columns:
        properties = [model.DynamicConfigValue(id_val="unit", value=column.unit)]
        if column.bounds:
            properties.append(model.DynamicConfigValue(id_val="thresholds", value=steps(column.bounds).build()))
            properties.append(model.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}))
        panel = panel.override_by_name(column.name, properties)
    return panel.data_links(links(to))
