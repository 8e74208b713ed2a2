#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what is imported from what stands in this folder; `make dashboards` has the packages that it needs.

    dashboards/source/generate.py          writes it
    dashboards/source/generate.py --check  fails if it is not what this folder says
"""

import sys
from pathlib import Path

from boards.agent import agent
from boards.fleet import fleet
from boards.runtime import runtime
from boards.service import service
from naming import NAMINGS, PROMETHEUS
from rules.files import custom_resource, file, rules, tests

PLACE = Path(__file__).resolve().parent.parent


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
    return files


def main() -> None:
    """Writes or compares."""
    wrong = []
    for name, content in made().items():
        path = PLACE / name
        if "--check" not in sys.argv:
            path.write_text(content)
        elif not path.exists() or path.read_text() != content:
            wrong.append(name)
    if wrong:
        sys.exit(f"generate.py: {', '.join(wrong)} is not what dashboards/source says")


if __name__ == "__main__":
    main()
