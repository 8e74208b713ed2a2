# SPDX-License-Identifier: Apache-2.0
"""The alerting and recording rules: generated from their source, tested by promtool, each alert
with a runbook."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from boards import BOARDS as BOARDS_BY_NAME
from boards import FOREIGN, listed, metrics_of, panels_of, resolved
from harness import ROOT, system_binary

pytestmark = pytest.mark.compute

BOARDS = ROOT / "dashboards"
RULES = (BOARDS / "outrider.rules.yml").read_text(encoding="utf-8")
TEST_FILES = sorted(path.name for path in BOARDS.glob("*.test.yml"))
TESTS = "".join((BOARDS / name).read_text(encoding="utf-8") for name in TEST_FILES)
ALERTS = re.findall(r"^  - alert: (\w+)$", RULES, re.M)
RECORDED = set(re.findall(r"^  - record: '([\w:]+)'$", RULES, re.M))

each_alert = pytest.mark.parametrize("alert", ALERTS)


def promtool(*arguments: str | Path, folder: Path = BOARDS) -> subprocess.CompletedProcess[str]:
    """Runs promtool, and returns its result."""
    command = [system_binary("promtool"), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)


def test_the_files_are_up_to_date_with_their_source() -> None:
    made = subprocess.run(
        [sys.executable, "-B", BOARDS / "source/generate.py", "--check"],
        capture_output=True, text=True, timeout=300,
    )
    assert made.returncode == 0, made.stderr


def test_promtool_accepts_the_rules() -> None:
    checked = promtool("check", "rules", "outrider.rules.yml", "outrider-prometheus.rules.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert len(ALERTS) > 15 and len(RECORDED) == 23


# In one group they would take longest: each file gets its own.
@pytest.mark.parametrize("tests", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in TEST_FILES])
def test_the_rule_tests_pass(tests: str) -> None:
    tested = promtool("test", "rules", tests)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_recording_rules_read_at_most_five_minutes_of_raw_series() -> None:
    """Otherwise a job with some hundred instances has more samples in three days than a query may
    read."""
    expressions = yaml.safe_load(RULES)["groups"]
    for rule in (rule for group in expressions for rule in group["rules"] if "record" in rule):
        for series, window in re.findall(r"([\w:]+)(?:\{[^}]*\})?\[(\w+)\]", rule["expr"]):
            assert window == "5m" or series in RECORDED, rule["record"]


@each_alert
def test_each_alert_has_a_firing_and_a_silent_test_case(alert: str) -> None:
    cases = re.split(r"^- interval: \d+m\n", TESTS, flags=re.M)[1:]
    own = [case for case in cases if f'alertname="{alert}",' in case]
    firing = [case for case in own if "exp_samples" in case]
    assert firing and len(firing) < len(own)


def test_promtool_fails_on_a_wrong_test_case(tmp_path: Path) -> None:
    (tmp_path / "outrider.rules.yml").write_text(RULES)
    # The first case: an alert that fires.
    tests = (BOARDS / "outrider.rules.test.yml").read_text(encoding="utf-8")
    head, first = tests.split("- interval: 1m\n")[:2]
    case = f"{head}- interval: 1m\n{first}"
    for old, new, status in (("", "", 0), ("value: 1\n", "value: 2\n", 1), ("'0+20x90'", "'0+0x90'", 1)):
        assert old in case
        (tmp_path / "wrong.yml").write_text(case.replace(old, new, 1) if old else case)
        assert promtool("test", "rules", "wrong.yml", folder=tmp_path).returncode == status


@each_alert
def test_each_alert_has_a_runbook(alert: str) -> None:
    runbook = ROOT / f"docs/runbooks/{alert}.md"
    text = runbook.read_text(encoding="utf-8")
    assert text.startswith(f"# {alert}\n")
    assert "\n## What to do\n" in text and "\n## False alarms\n" in text
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert (runbook.parent / link).resolve().exists(), link


def test_every_runbook_belongs_to_an_alert() -> None:
    assert sorted(path.stem for path in (ROOT / "docs/runbooks").glob("*.md")) == sorted(ALERTS)


@each_alert
def test_each_alert_has_a_summary_a_description_and_a_severity(alert: str) -> None:
    own = RULES.split(f"  - alert: {alert}\n")[1].split("\n  - ")[0]
    for part in ("summary", "description", "runbook_url"):
        assert re.search(rf"^      {part}: '.+'$", own, re.M), part
    assert re.search(r"^    labels: {severity: (critical|warning|info)}$", own, re.M)
    assert f"/{alert}.md'" in own


def test_every_metric_of_a_rule_is_listed() -> None:
    for name in ("outrider.rules.yml", "outrider-prometheus.rules.yml"):
        groups = yaml.safe_load((BOARDS / name).read_text(encoding="utf-8"))["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert len(rules) == len(ALERTS) + len(RECORDED)
        for rule in rules:
            assert metrics_of(rule["expr"]) <= listed().keys() | RECORDED | FOREIGN, rule


def test_sums_of_the_fleet_stay_right_when_instances_come_and_go(tmp_path: Path) -> None:
    # One request per second each: one instance stays, one ends, one starts, one restarts at zero.
    board = BOARDS_BY_NAME["outrider-fleet"]
    asked = next(panel for panel in panels_of(board) if panel["title"] == "Requests by job")["targets"][0]["expr"]
    counts = {"stays": "0+60x30", "goes": "0+60x10 stale", "comes": "_x10 0+60x20", "restarts": "0+60x17 0+60x13"}
    info = {"stays": "1x30", "goes": "1x10 stale", "comes": "_x10 1x20", "restarts": "1x30"}
    series = [
        {"series": f'{name}{{job="shop",instance="{instance}"}}', "values": values}
        for name, each in (("http_server_request_duration_seconds_count", counts), ("outrider_build_info", info))
        for instance, values in each.items()
    ]
    expected = [(9, 3), (14, 3), (17, 3), (24, 3), (29, 3)]
    tests = [
        {"expr": resolved(asked, "3m"), "eval_time": f"{minute}m", "exp_samples": [{"labels": '{job="shop"}', "value": value}]}
        for minute, value in expected
    ]
    # JSON is YAML as well.
    file = tmp_path / "fleet.yml"
    file.write_text(json.dumps({"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": tests}]}))
    tested = promtool("test", "rules", file)
    assert tested.returncode == 0, tested.stdout + tested.stderr
