# SPDX-License-Identifier: Apache-2.0
"""What all dashboards share: variables, annotations, links to each other, and their rows."""

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
"""Instances that have just started, for a minute or a step: with the label of before, or with a new one."""
VERSIONS = "count by (cluster, namespace, job, service_version) ({})"
DEPLOYS = " unless ".join(
    VERSIONS.format(f"target_info{{{','.join(CHOSEN)},service_version!=\"\"}}{offset} and on ({TARGET}) {chosen(INFO)}{offset}")
    for offset in ("", " offset 5m")
)
"""Versions of a service that nobody ran five minutes before."""


@dataclass(frozen=True)
class Row:
    """Panels under a title."""

    title: str
    panels: Sequence[Any]


def variable(name: str, label: str, query: str, every: str, description: str) -> Any:
    """A choice of some, or of all; asked again when the time range changes."""
    made = dashboard.QueryVariable(name).label(label).query(query).datasource(SOURCE).description(description)
    made = made.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC)
    return made.multi(True).include_all(True).all_value(every).current(ALL)


def variables(naming: Naming, has_routes: bool) -> list[Any]:
    """The data source, what tells a target, and the route."""
    def known(count: int) -> str:
        """Our targets, of what is chosen in the variables before."""
        return f"{INFO}{{{','.join(CHOSEN[:count])}}}" if count else INFO

    made = [
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        # A label that the server does not set matches what is empty.
        variable("cluster", "Cluster", f"label_values({known(0)}, cluster)", ".*", "Empty where no server sets the label."),
        variable("namespace", "Namespace", f"label_values({known(1)}, namespace)", ".*", "Empty where no server sets the label."),
        variable("job", "Job", f"label_values({known(2)}, job)", ".+", "Jobs with at least one Outrider target."),
        variable("instance", "Instance", f"label_values({known(3)}, instance)", ".+", "Instances of these jobs."),
    ]
    if has_routes:
        either = f'{{__name__=~"{naming.duration}(_count)?",{",".join(CHOSEN)}}}'
        query = f"label_values({either}, {naming.route})"
        made.append(variable("route", "Route", query, ".*", "Route templates; empty for requests without a route."))
    return made


def annotations() -> list[dict[str, Any]]:
    """Restarts and deploys. Grafana's own schema has no names for the titles of Prometheus' annotations."""
    return [
        {"name": "Restarts", "enable": True, "iconColor": "orange", "datasource": {"type": "prometheus", "uid": "${datasource}"},
         "expr": RESTARTS, "titleFormat": "{{instance}} started"},
        {"name": "Deploys", "enable": True, "iconColor": "purple", "datasource": {"type": "prometheus", "uid": "${datasource}"},
         "expr": DEPLOYS, "titleFormat": "{{job}} {{service_version}}"},
    ]


def link() -> Any:
    """The other dashboards, with what is chosen here."""
    made = dashboard.DashboardLink("Outrider").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    return made.as_dropdown(True).include_vars(True).keep_time(True)


def built(name: str, title: str, description: str, rows: Sequence[Row], naming: Naming, has_routes: bool = False) -> str:
    """A dashboard as it is imported."""
    board = dashboard.Dashboard(f"Outrider / {title}" + (f" ({naming.title})" if naming.title else ""))
    board = board.uid(f"outrider-{name}{naming.suffix}").description(description).tags([TAG, "swift"])
    board = board.readonly().tooltip(model.DashboardCursorSync.CROSSHAIR).timezone("browser").refresh("30s").time("now-1h", "now")
    board = board.variables(variables(naming, has_routes)).link(link())
    for row in rows:
        board = board.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            board = board.with_panel(panel)
    made = json.loads(json.dumps(board.build(), cls=JSONEncoder))
    for number, panel in enumerate(made["panels"], 1):
        panel["id"] = number
    made["annotations"] = {"list": annotations()}
    return json.dumps(made, indent=1, sort_keys=True) + "\n"
