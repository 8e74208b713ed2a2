# SPDX-License-Identifier: Apache-2.0
"""The rules: made from their source, fired by promtool, explained by a runbook each."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import ROOT, system_binary

BOARDS = ROOT / "dashboards"
RULES = (BOARDS / "outrider.rules.yml").read_text(encoding="utf-8")
TEST_FILES = sorted(path.name for path in BOARDS.glob("*.test.yml"))
TESTS = "".join((BOARDS / name).read_text(encoding="utf-8") for name in TEST_FILES)
ALERTS = re.findall(r"^  - alert: (\w+)$", RULES, re.M)
RECORDED = set(re.findall(r"^  - record: '([\w:]+)'$", RULES, re.M))
FOREIGN = {"up"}
"""What Prometheus itself writes down of a target."""

each_alert = pytest.mark.parametrize("alert", ALERTS)


def promtool(*arguments: str | Path, place: Path = BOARDS) -> subprocess.CompletedProcess[str]:
    """promtool, and what it said."""
    command = [system_binary("promtool"), *map(str, arguments)]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=120)


def test_the_files_are_what_their_source_says() -> None:
    made = subprocess.run(
        [sys.executable, "-B", BOARDS / "source/generate.py", "--check"],
        capture_output=True, text=True, timeout=60,
    )
    assert made.returncode == 0, made.stderr


def test_prometheus_takes_them() -> None:
    checked = promtool("check", "rules", "outrider.rules.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert len(ALERTS) > 15 and len(RECORDED) == 21


@pytest.mark.parametrize("tests", TEST_FILES)
def test_each_fires_when_it_should_and_not_else(tests: str) -> None:
    tested = promtool("test", "rules", tests)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@each_alert
def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_not(alert: str) -> None:
    cases = re.split(r"^- interval: \d+m\n", TESTS, flags=re.M)[1:]
    own = [case for case in cases if f'alertname="{alert}",' in case]
    firing = [case for case in own if "exp_samples" in case]
    assert firing and len(firing) < len(own)


def test_a_case_that_is_wrong_is_found(tmp_path: Path) -> None:
    (tmp_path / "outrider.rules.yml").write_text(RULES)
    # The first one: an alert that fires.
    tests = (BOARDS / "outrider.rules.test.yml").read_text(encoding="utf-8")
    head, first = tests.split("- interval: 1m\n")[:2]
    case = f"{head}- interval: 1m\n{first}"
    for old, new, status in (("", "", 0), ("value: 1\n", "value: 2\n", 1), ("'0+20x90'", "'0+0x90'", 1)):
        assert old in case
        (tmp_path / "wrong.yml").write_text(case.replace(old, new, 1) if old else case)
        assert promtool("test", "rules", "wrong.yml", place=tmp_path).returncode == status


@each_alert
def test_each_alert_has_a_runbook(alert: str) -> None:
    runbook = ROOT / f"docs/runbooks/{alert}.md"
    text = runbook.read_text(encoding="utf-8")
    assert text.startswith(f"# {alert}\n")
    assert "\n## What to do\n" in text and "\n## When it is wrong\n" in text
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert (runbook.parent / link).resolve().exists(), link


def test_no_runbook_is_left_over() -> None:
    assert sorted(path.stem for path in (ROOT / "docs/runbooks").glob("*.md")) == sorted(ALERTS)


@each_alert
def test_each_alert_says_what_and_why(alert: str) -> None:
    own = RULES.split(f"  - alert: {alert}\n")[1].split("\n  - ")[0]
    for part in ("summary", "description", "runbook_url"):
        assert re.search(rf"^      {part}: '.+'$", own, re.M), part
    assert re.search(r"^    labels: {severity: (critical|warning|info)}$", own, re.M)
    assert f"/{alert}.md'" in own


def test_every_metric_that_a_rule_names_is_listed() -> None:
    listed = set(re.findall(r"^\| `([a-z_]+)` \|", (ROOT / "docs/metrics.md").read_text(), re.M))
    expressions = re.findall(r"    expr: \|-\n((?:      .*\n)+)", RULES)
    assert len(expressions) == len(ALERTS) + len(RECORDED)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(by|on|group_left) \([^)]*\)", " ", "".join(expressions))
    words = set(re.findall(r"[a-z_][\w:]*(?![\w:]*\s*\()", text)) - {"and", "or", "unless", "sum", "count"}
    for word in words:
        name = re.sub(r"_(bucket|count|sum)$", "", word)
        assert {word, name} & (listed | RECORDED | FOREIGN), word
