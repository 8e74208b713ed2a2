# SPDX-License-Identifier: Apache-2.0
"""Parts that all dashboards share: variables, annotations, links to each other, and rows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from boards.kit import SOURCE
from boards.promql import CHOSEN, INFO, TARGET, chosen, ours
from naming import Naming

TAG = "outrider"
ALL = model.VariableOption(selected=True, text="All", value="$__all")
RESTARTS = ours(f"time() - {chosen('process_start_time_seconds')} < $__interval_ms / 1000 + 60")
"""Instances that started within the last minute plus one step, with an old or a new `instance` label."""
VERSIONS = "count by (cluster, namespace, job, service_version) ({})"
DEPLOYS = " unless ".join(
    VERSIONS.format(f"target_info{{{','.join(CHOSEN)},service_version!=\"\"}}{offset} and on ({TARGET}) {chosen(INFO)}{offset}")
    for offset in ("", " offset 5m")
)
"""Versions of a service that did not run five minutes earlier."""


@dataclass(frozen=True)
class Row:
    """Panels under a title."""

    title: str
    panels: Sequence[Any]


def variable(name: str, label: str, query: str, every: str, description: str) -> Any:
    """A variable with several values or all; its query runs again when the time range changes."""
    builder = dashboard.QueryVariable(name).label(label).query(query).datasource(SOURCE).description(description)
    builder = builder.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC)
    return builder.multi(True).include_all(True).all_value(every).current(ALL)


def variables(naming: Naming, has_routes: bool) -> list[Any]:
    """Variables for the data source, the labels that identify a target, and the route."""
    def targets(count: int) -> str:
        """Selects Outrider targets by the first `count` variables."""
        return f"{INFO}{{{','.join(CHOSEN[:count])}}}" if count else INFO

    listed = [
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        # `.*` also matches targets without the label.
        variable("cluster", "Cluster", f"label_values({targets(0)}, cluster)", ".*", "Empty where no server sets the label."),
        variable("namespace", "Namespace", f"label_values({targets(1)}, namespace)", ".*", "Empty where no server sets the label."),
        variable("job", "Job", f"label_values({targets(2)}, job)", ".+", "Jobs with at least one Outrider target."),
        variable("instance", "Instance", f"label_values({targets(3)}, instance)", ".+", "Instances of these jobs."),
    ]
    if has_routes:
        either = f'{{__name__=~"{naming.duration}(_count)?",{",".join(CHOSEN)}}}'
        query = f"label_values({either}, {naming.route})"
        listed.append(variable("route", "Route", query, ".*", "Route templates; empty for requests without a route."))
    return listed


def annotations() -> list[dict[str, Any]]:
    """Restarts and deploys. Plain dictionaries, since the SDK's schema has no titles for Prometheus annotations."""
    return [
        {"name": "Restarts", "enable": True, "iconColor": "orange", "datasource": {"type": "prometheus", "uid": "${datasource}"},
         "expr": RESTARTS, "titleFormat": "{{instance}} started"},
        {"name": "Deploys", "enable": True, "iconColor": "purple", "datasource": {"type": "prometheus", "uid": "${datasource}"},
         "expr": DEPLOYS, "titleFormat": "{{job}} {{service_version}}"},
    ]


def link() -> Any:
    """A link to the other dashboards, with the variables and time range of this one."""
    builder = dashboard.DashboardLink("Outrider").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    return builder.as_dropdown(True).include_vars(True).keep_time(True)


def dashboard_json(name: str, title: str, description: str, rows: Sequence[Row], naming: Naming, has_routes: bool = False) -> str:
    """A dashboard as JSON that Grafana imports."""
    board = dashboard.Dashboard(f"Outrider / {title}" + (f" ({naming.title})" if naming.title else ""))
    board = board.uid(f"outrider-{name}{naming.suffix}").description(description).tags([TAG, "swift"])
    board = board.readonly().tooltip(model.DashboardCursorSync.CROSSHAIR).timezone("browser").refresh("30s").time("now-1h", "now")
    board = board.variables(variables(naming, has_routes)).link(link())
    for row in rows:
        board = board.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            board = board.with_panel(panel)
    content = json.loads(json.dumps(board.build(), cls=JSONEncoder))
    for index, panel in enumerate(content["panels"], 1):
        panel["id"] = index
    content["annotations"] = {"list": annotations()}
    return json.dumps(content, indent=1, sort_keys=True) + "\n"
