# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus scrapes the quickstart and evaluates queries on its metrics."""

import math

import pytest

from harness import Quickstart, poll
from prometheus_server import Prometheus

pytestmark = pytest.mark.wait


def test_the_service_is_up(prometheus: Prometheus) -> None:
    prometheus.await_up("quickstart")
    (sample,) = prometheus.await_samples('up{job="quickstart"} == 1')
    assert sample["value"][1] == "1"


def test_a_counter_is_stored_and_grows(prometheus: Prometheus) -> None:
    orders = 'sum(orders_placed_total{job="quickstart"})'
    (first,) = prometheus.await_samples(orders)
    assert float(first["value"][1]) > 0
    prometheus.await_samples(f"{orders} > {first['value'][1]}")


def test_a_stored_value_equals_the_exposed_one(
    prometheus: Prometheus, quickstart: Quickstart
) -> None:
    # The start time of a process has many digits and does not change between scrapes.
    (sample,) = prometheus.await_samples('process_start_time_seconds{job="quickstart"}')
    lines = quickstart.metrics().split("\n")
    (shown,) = [line for line in lines if line.startswith("process_start_time_seconds ")]
    assert float(sample["value"][1]) == float(shown.split(" ")[1])


def test_a_quantile_of_the_request_durations_is_a_number(prometheus: Prometheus) -> None:
    durations = "rate(http_server_request_duration_seconds_bucket[4s])"
    quantile = f"histogram_quantile(0.95, sum by (le) ({durations}))"

    def attempt() -> float | None:
        values = [float(sample["value"][1]) for sample in prometheus.query(quantile)]
        return values[0] if values and math.isfinite(values[0]) else None

    assert 0 < poll("the quantile is finite", attempt) < 10


def test_every_histogram_agrees_with_its_own_count(prometheus: Prometheus) -> None:
    name = "http_server_request_duration_seconds"
    prometheus.await_samples(f"{name}_count")
    ends = f'sum without (le) ({name}_bucket{{le="+Inf"}})'
    unequal = f"{ends} != on (instance, http_route, http_request_method, "
    unequal += f"http_response_status_code) {name}_count"
    prometheus.await_samples(ends)
    assert prometheus.query(unequal) == []


def test_prometheus_stores_type_and_help_of_the_service(prometheus: Prometheus) -> None:
    def attempt() -> list[dict[str, str]] | None:
        # In OpenMetrics, which Prometheus requests, the family's name has no suffix.
        entries = prometheus.api("metadata")
        return entries.get("orders_placed") or entries.get("orders_placed_total")

    (entry,) = poll("the metadata is stored", attempt)
    assert (entry["type"], entry["help"]) == ("counter", "Orders accepted.")
