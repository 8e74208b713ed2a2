# SPDX-License-Identifier: Apache-2.0
"""VictoriaMetrics scrapes the examples, and loads the rules made for it.

test_dashboard_queries.py compares its query results with those of Prometheus on live data.
"""

import json
import math
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import promql_parser as promql
import pytest
import yaml

from boards import BOARDS, FOLDER, expressions_of, nodes, parsed
from exposition import sample_lines
from harness import LIMIT, Quickstart, poll, system_binary
from storefront_lab import Storefront
from victoria_metrics import BEHIND, FILES, VictoriaMetrics, spelled, usual

pytestmark = pytest.mark.wait

UNKNOWN = {"histogram_count", "histogram_sum", "histogram_fraction", "histogram_avg"}
"""Functions that VictoriaMetrics lacks."""
NATIVE = UNKNOWN | {"histogram_quantile"}
"""Functions that accept native histograms."""
JOBS = ("quickstart", "storefront")


@pytest.fixture(scope="module", name="victoria")
def fixture_victoria(quickstart: Quickstart, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VictoriaMetrics]:
    """A VictoriaMetrics that scrapes the quickstart and the storefront."""
    folder = tmp_path_factory.mktemp("victoria")
    with Storefront(folder / "storefront.log") as storefront:
        jobs = {"quickstart": f"{quickstart.target}/metrics", "storefront": f"{storefront.target}/metrics"}
        for path in ("/orders/1", "/orders?item=book&customer=a"):
            storefront.request(path, "POST" if "?" in path else "GET")
        with VictoriaMetrics(folder, jobs) as server:
            yield server


@pytest.mark.parametrize("job", JOBS)
def test_every_scraped_sample_is_stored(victoria: VictoriaMetrics, job: str) -> None:
    victoria.await_up(job)

    def is_whole() -> bool | None:
        newest = victoria.query(f'timestamp(up{{job="{job}"}})')
        if not newest:
            return None
        at = float(newest[0]["value"][1]) - BEHIND
        scraped = victoria.query(f'scrape_samples_scraped{{job="{job}"}}', at)
        kept = victoria.query(f'count({{job="{job}",__name__!~"up|scrape_.*"}})', at)
        return scraped and kept and scraped[0]["value"][1] == kept[0]["value"][1] or None

    poll("as many series are stored as samples were scraped", is_whole)


def test_stored_values_equal_the_exposed_ones(victoria: VictoriaMetrics, quickstart: Quickstart) -> None:
    (sample,) = victoria.await_samples('process_start_time_seconds{job="quickstart"}')
    (shown,) = (line for line in sample_lines(quickstart.metrics()) if line.startswith("process_start_time_seconds "))
    assert float(sample["value"][1]) == float(shown.split(" ")[1])
    durations = 'rate(http_server_request_duration_seconds_bucket{job="quickstart"}[4s])'

    def quantile() -> float | None:
        values = [float(one["value"][1]) for one in victoria.query(f"histogram_quantile(0.95, sum by (le) ({durations}))")]
        return values[0] if values and math.isfinite(values[0]) else None

    assert 0 < poll("the quantile is finite", quantile) < 10


@pytest.mark.parametrize("path", sorted(FILES.glob("*.yml")), ids=lambda path: path.name)
def test_vmalert_accepts_the_rules(path: Path) -> None:
    run = subprocess.run([system_binary("vmalert"), f"-rule={path}", "-dryRun"], capture_output=True, text=True, timeout=LIMIT)
    assert run.returncode == 0, run.stdout + run.stderr


def expressions(path: Path) -> list[str]:
    """The queries of a dashboard or of a rule file, in order."""
    if path.suffix == ".json":
        return [expression for _, expression in expressions_of(json.loads(path.read_text()))]
    return [rule["expr"] for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("path", sorted(FILES.iterdir()), ids=lambda path: path.name)
def test_its_files_differ_from_prometheus_only_in_native_histograms(path: Path) -> None:
    prometheus, own = set(expressions(FOLDER / path.name)), {usual(one) for one in expressions(path)}
    assert own - prometheus
    for expression in own - prometheus:
        words = set(re.findall(r"\w+", expression))
        # It is a query with its part for native histograms removed.
        assert any(functions(one) & NATIVE and words <= set(re.findall(r"\w+", one)) for one in prometheus - own), expression


@pytest.mark.parametrize("path", [*FILES.iterdir(), *(FOLDER / f"{name}.json" for name in BOARDS if not (FILES / f"{name}.json").exists())], ids=lambda path: path.name)
def test_every_query_uses_supported_functions(path: Path) -> None:
    for expression in expressions(path):
        assert not functions(usual(expression)) & UNKNOWN, expression
        assert spelled(usual(expression)) == expression


def functions(expression: str) -> set[str]:
    """The functions that a query calls."""
    return {node.func.name for node, _ in nodes(parsed(expression)) if isinstance(node, promql.Call)}
