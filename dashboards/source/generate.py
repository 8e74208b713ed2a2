#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what is imported from what stands in this folder.

    dashboards/source/generate.py          writes it
    dashboards/source/generate.py --check  fails if it is not what this folder says
"""

import sys
from pathlib import Path

from alerts import BEHIND, PROCESS, TARGETS
from model import OURS, Alert, Case, Group, block, text
from slo import BUDGETS, SLO

PLACE = Path(__file__).resolve().parent.parent
GROUPS = (SLO, BUDGETS, TARGETS, PROCESS, BEHIND)
RUNBOOKS = "https://github.com/OWNER/outrider/blob/main/docs/runbooks"
HEAD = """\
# SPDX-License-Identifier: Apache-2.0
# Made by dashboards/source/generate.py; change that.
"""
TARGET = {"job": "shop", "instance": "10.0.0.1:9464"}


def rules() -> str:
    """The rules, as Prometheus loads them."""
    lines = [HEAD + "groups:"]
    for group in GROUPS:
        lines += [f"- name: {group.name}", f"  interval: {group.seconds}s", "  rules:"]
        for rule in group.rules:
            kind = "alert" if isinstance(rule, Alert) else "record"
            lines += [f"  - {kind}: {text(rule.name) if kind == 'record' else rule.name}",
                      f"    expr: {block(rule.expression, 6)}"]
            if isinstance(rule, Alert):
                lines += about(rule)
    return "\n".join(lines) + "\n"


def about(alert: Alert) -> list[str]:
    """How long, how bad, and what to tell."""
    wait = [f"    for: {alert.minutes}m"] if alert.minutes else []
    return [
        *wait, f"    labels: {{severity: {alert.severity}}}", "    annotations:",
        f"      summary: {text(alert.summary)}", f"      description: {text(alert.description)}",
        f"      runbook_url: {text(f'{RUNBOOKS}/{alert.name}.md')}",
    ]


def of_target(series: str) -> str:
    """A series with the labels of the target."""
    name, _, labels = series.partition("{")
    own = [f'{key}="{value}"' for key, value in TARGET.items()]
    return f"{name}{{{','.join(own + ([labels[:-1]] if labels else []))}}}"


def tests(step: int) -> str:
    """A case for each way in which an alert fires, and for each in which it must not: those with this step."""
    lines = [HEAD + "rule_files: [outrider.rules.yml]", f"evaluation_interval: {step}m", "tests:"]
    alerts = [rule for group in GROUPS for rule in group.rules if isinstance(rule, Alert)]
    for alert in alerts:
        for case in alert.cases:
            if case.step == step:
                lines += of_case(alert, case)
    return "\n".join(lines) + "\n"


def of_case(alert: Alert, case: Case) -> list[str]:
    """What promtool is told of a case: the series, and whether the alert fires on them."""
    series = {OURS: f"1x{case.minutes // case.step + 5}"} | case.series
    lines = [f"- interval: {case.step}m", "  input_series:"]
    for name, values in series.items():
        lines += [f"  - series: {text(of_target(name))}", f"    values: {text(values)}"]
    firing = f'count by (alertname, severity) (ALERTS{{alertname="{alert.name}",alertstate="firing"}})'
    lines += ["  promql_expr_test:", f"  - expr: {text(firing)}", f"    eval_time: {case.minutes}m"]
    if case.fires:
        labels = f'{{alertname="{alert.name}", severity="{alert.severity}"}}'
        lines += ["    exp_samples:", f"    - labels: {text(labels)}", "      value: 1"]
    return lines


def main() -> None:
    """Writes or compares."""
    made = {"outrider.rules.yml": rules(), "outrider.rules.test.yml": tests(1), "outrider.rules.days.test.yml": tests(15)}
    wrong = []
    for name, content in made.items():
        path = PLACE / name
        if "--check" not in sys.argv:
            path.write_text(content)
        elif not path.exists() or path.read_text() != content:
            wrong.append(name)
    if wrong:
        sys.exit(f"generate.py: {', '.join(wrong)} is not what dashboards/source says")


if __name__ == "__main__":
    main()
