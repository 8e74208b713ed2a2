# SPDX-License-Identifier: Apache-2.0
"""The files of the rules: what Prometheus loads, and what promtool tests."""

from naming import OPEN_TELEMETRY, Naming
from rules.alerts import BEHIND, PROCESS, TARGETS
from rules.model import OURS, Alert, Case, Group, block, text
from rules.slo import budgets, slo

RUNBOOKS = "https://github.com/OWNER/outrider/blob/main/docs/runbooks"
HEAD = """\
# SPDX-License-Identifier: Apache-2.0
# Made by dashboards/source/generate.py; change that.
"""
TARGET = {"job": "shop", "instance": "10.0.0.1:9464"}


def groups(names: Naming) -> tuple[Group, ...]:
    """All rules, for a naming of requests."""
    return (slo(names), budgets(names), TARGETS, PROCESS, BEHIND)


def rules(names: Naming) -> str:
    """The rules, as Prometheus loads them."""
    lines = [HEAD + "groups:"]
    for group in groups(names):
        lines += [f"- name: {group.name}", f"  interval: {group.seconds}s", "  rules:"]
        for rule in group.rules:
            kind = "alert" if isinstance(rule, Alert) else "record"
            lines += [f"  - {kind}: {text(rule.name) if kind == 'record' else rule.name}",
                      f"    expr: {block(rule.expression, 6)}"]
            if isinstance(rule, Alert):
                lines += about(rule)
    return "\n".join(lines) + "\n"


def custom_resource(rules_file: str) -> str:
    """The same as a resource of the Prometheus Operator."""
    body = rules_file.removeprefix(HEAD)
    return HEAD + """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: outrider
  labels:
    app.kubernetes.io/name: outrider
spec:
""" + "".join(f"  {line}\n" if line else "\n" for line in body.splitlines())


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


def tests(step: int, names: Naming = OPEN_TELEMETRY) -> str:
    """A case for each way in which an alert fires, and for each in which it must not: those with this step."""
    # Without an order, an alert may be asked before that is recorded which it looks at.
    order = ", ".join(group.name for group in groups(names))
    lines = [HEAD + f"rule_files: [{file(names)}]", f"evaluation_interval: {step}m", f"group_eval_order: [{order}]", "tests:"]
    # The other alerts are the same in every naming.
    tested = groups(names) if names == OPEN_TELEMETRY else (budgets(names),)
    alerts = [rule for group in tested for rule in group.rules if isinstance(rule, Alert)]
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


def file(names: Naming) -> str:
    """The name of what Prometheus loads."""
    return f"outrider{names.suffix}.rules.yml"
