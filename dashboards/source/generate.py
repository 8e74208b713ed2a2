#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Generates the dashboards and rules; `make dashboards` installs the packages that this needs.

    dashboards/source/generate.py          writes the files
    dashboards/source/generate.py --check  fails if a file differs from what it would write
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
from rules.files import custom_resource, file_name, rules, tests

FOLDER = Path(__file__).resolve().parent.parent
VICTORIA = "victoria-metrics"
"""The folder of the files for VictoriaMetrics."""


def generated() -> dict[str, str]:
    """The content of every file, by its name."""
    files = {"outrider-runtime.json": runtime(), "outrider-agent.json": agent()}
    for names in NAMINGS:
        files[f"outrider-service{names.suffix}.json"] = service(names)
        files[f"outrider-fleet{names.suffix}.json"] = fleet(names)
        files[file_name(names)] = rules(names)
    files["outrider.prometheusrule.yaml"] = custom_resource(files["outrider.rules.yml"])
    files["outrider.rules.test.yml"] = tests(1)
    files["outrider.rules.days.test.yml"] = tests(2)
    files["outrider.rules.hours.test.yml"] = tests(15)
    files["outrider-prometheus.rules.test.yml"] = tests(1, PROMETHEUS)
    return files | for_victoria_metrics()


def for_victoria_metrics() -> dict[str, str]:
    """The files that differ for VictoriaMetrics; the others work with it unchanged."""
    with without_native_histograms():
        # VictoriaMetrics' `changes` counts the first sample of a series too.
        files = {f"{VICTORIA}/{file_name(names)}": rules(names).replace("changes(", "changes_prometheus(") for names in NAMINGS}
        for names in NAMINGS:
            for name, board in (("service", service(names)), ("fleet", fleet(names))):
                files[f"{VICTORIA}/outrider-{name}{names.suffix}.json"] = for_victoria(board)
    return files


def for_victoria(board: str) -> str:
    """The dashboard with its own uid and title, for a Grafana that also has the one for Prometheus."""
    content = json.loads(board)
    content["uid"] += "-victoria"
    content["title"] += " (VictoriaMetrics)"
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Writes the files, or compares them with `--check`."""
    differing = []
    for name, content in generated().items():
        path = FOLDER / name
        if "--check" not in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        elif not path.exists() or path.read_text() != content:
            differing.append(name)
    if differing:
        sys.exit(f"generate.py: {', '.join(differing)} differs from dashboards/source; run make dashboards")


if __name__ == "__main__":
    main()
