#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what is imported from what stands in this folder; `make dashboards` has the packages that it needs.

    dashboards/source/generate.py          writes it
    dashboards/source/generate.py --check  fails if it is not what this folder says
"""

import json
import sys
from pathlib import Path

from boards.agent import agent
from boards.fleet import fleet
from boards.runtime import runtime
from boards.service import service
from functions import without_native_histograms
from naming import NAMINGS, PROMETHEUS
from rules.files import custom_resource, file, rules, tests

PLACE = Path(__file__).resolve().parent.parent
VICTORIA = "victoria-metrics"
"""The folder of what is for VictoriaMetrics."""


def made() -> dict[str, str]:
    """Every file, by its name."""
    files = {"outrider-runtime.json": runtime(), "outrider-agent.json": agent()}
    for names in NAMINGS:
        files[f"outrider-service{names.suffix}.json"] = service(names)
        files[f"outrider-fleet{names.suffix}.json"] = fleet(names)
        files[file(names)] = rules(names)
    files["outrider.prometheusrule.yaml"] = custom_resource(files["outrider.rules.yml"])
    files["outrider.rules.test.yml"] = tests(1)
    files["outrider.rules.days.test.yml"] = tests(2)
    files["outrider.rules.hours.test.yml"] = tests(15)
    files["outrider-prometheus.rules.test.yml"] = tests(1, PROMETHEUS)
    return files | for_victoria_metrics()


def for_victoria_metrics() -> dict[str, str]:
    """What differs for VictoriaMetrics; the other files are the same for it."""
    with without_native_histograms():
        # There `changes` counts the first sample of a series too.
        files = {f"{VICTORIA}/{file(names)}": rules(names).replace("changes(", "changes_prometheus(") for names in NAMINGS}
        for names in NAMINGS:
            for name, board in (("service", service(names)), ("fleet", fleet(names))):
                files[f"{VICTORIA}/outrider-{name}{names.suffix}.json"] = renamed(board)
    return files


def renamed(board: str) -> str:
    """A dashboard that can be in one Grafana with that for Prometheus."""
    made = json.loads(board)
    made["uid"] += "-victoria"
    made["title"] += " (VictoriaMetrics)"
    return json.dumps(made, indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Writes or compares."""
    wrong = []
    for name, content in made().items():
        path = PLACE / name
        if "--check" not in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        elif not path.exists() or path.read_text() != content:
            wrong.append(name)
    if wrong:
        sys.exit(f"generate.py: {', '.join(wrong)} differs from dashboards/source; run make dashboards")


if __name__ == "__main__":
    main()
