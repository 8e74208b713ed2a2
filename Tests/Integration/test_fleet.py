# SPDX-License-Identifier: Apache-2.0
"""A fleet of twenty instances, one restarted, one killed and replaced, one with a taken port: the
recorded totals match the orders placed.

The allowed error: a counter exists in its process only, so the recorded total of a process is its
last scrape. Prometheus stores a scrape under its start time, within 2 ms, and the counter is read
between then and `scrape_duration_seconds` later. So the last scrape, at t, shows every order
answered before t, and none sent after t plus that duration. Orders after the last scrape of an
ended process are not recorded anywhere; the gap is one interval, plus one more if the process's end
cut off a scrape. A living process loses nothing, since it is scraped again.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from alerting import moment
from boards import BOARDS, panels_of, resolved
from fleet_lab import INTERVAL, JOB, KINDS, ORDERS, SEEN, SIZE, TOLERANCE, Fleet, last_scrape, unseen
from harness import poll
from monitored_services import TRACE
from prometheus_server import Prometheus

pytestmark = pytest.mark.wait

OF_TIME = {"OutriderExecutorDelay", "OutriderStall", "OutriderLatencyBudgetBurn", "OutriderLatencyBudgetBurnSlow"}
"""Alerts on durations, which fire rightly on a machine that is busy with other programs."""


@pytest.fixture(scope="module", name="fleet")
def fixture_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet after all of its events."""
    with Fleet(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture(name="server", params=["direct", "central"])
def fixture_server(fleet: Fleet, request: pytest.FixtureRequest) -> Prometheus:
    """The server that scrapes the fleet, and the one that receives remote writes of a Prometheus in
    agent mode."""
    return fleet.servers[request.param]


def own(target: str) -> str:
    """The label matchers of an instance."""
    return f'job="{JOB}",instance="{target}"'


def test_every_event_took_place(fleet: Fleet) -> None:
    assert len(fleet.runs) == SIZE + 2
    assert [run.end is None for run in fleet.runs].count(False) == 2
    assert all(run.answered() >= 20 for run in fleet.runs)


def test_the_recorded_total_of_each_process_matches_its_customers_count(fleet: Fleet, server: Prometheus) -> None:
    for run in fleet.runs:
        total, at, took = last_scrape(server, run)
        assert run.answered(at - TOLERANCE) <= total <= run.sent(at + took + TOLERANCE), run.target
        if run.end is None:
            assert total == run.answered() == run.sent(), run.target
        else:
            # The next scrape would have come after its end, except for one that the end cut off.
            assert run.ending is not None
            tried = [scrape for scrape in server.failed_scrapes(own(run.target), INTERVAL) if at < scrape < run.ending]
            assert len(tried) <= 1, run.target


def test_the_fleet_total_is_exact_up_to_the_last_interval_of_ended_processes(
    fleet: Fleet, server: Prometheus
) -> None:
    ended = [run for run in fleet.runs if run.end is not None]
    truth = sum(run.answered() for run in fleet.runs)
    lost = sum(unseen(server, run) for run in ended)
    total = sum(last_scrape(server, run)[0] for run in fleet.runs)
    assert truth - lost <= total <= truth + sum(run.sent() - run.answered() for run in ended)
    # Few enough to be invisible on a panel.
    assert lost * SEEN <= truth


def test_sums_over_living_instances_are_exact(fleet: Fleet, server: Prometheus) -> None:
    living = [run for run in fleet.runs if run.end is None]
    for kind in KINDS:
        truth = sum(1 for run in living for order in run.orders if order.kind == kind)
        server.await_samples(f'sum({ORDERS}{{job="{JOB}",kind="{kind}"}}) == {truth}')
    requests = f'http_server_request_duration_seconds_count{{job="{JOB}",http_route="/orders",http_response_status_code="201"}}'
    server.await_samples(f"sum({requests}) == {sum(run.answered() for run in living)}")


def test_increase_misses_the_first_sample_and_extrapolates_one_interval_at_each_end(fleet: Fleet, server: Prometheus) -> None:
    """increase() omits a series' first sample. It extrapolates by half an interval where the series
    begins within the window, and to the window's end if that is within 1.1 intervals of the last
    sample."""
    for run in fleet.runs:
        if run.end is not None or any(other.target == run.target for other in fleet.runs if other is not run):
            continue
        for kind in KINDS:
            series = f'{ORDERS}{{{own(run.target)},kind="{kind}"}}'
            samples = server.recorded(series)
            (begin, first), (end, last) = samples[0], samples[-1]
            interval = (end - begin) / (len(samples) - 1)
            [found] = server.query(f"increase({series}[1h])")
            assert last - first - 1e-6 <= float(found["value"][1]) <= (last - first) * (1 + 1.8 * interval / (end - begin)) + 1e-6


def test_a_restart_is_one_counter_reset_and_fires_no_alert(fleet: Fleet, server: Prometheus) -> None:
    [restarted] = {run.target for run in fleet.runs if run.end is not None} - {fleet.killed}
    [starts] = server.query(f"changes(process_start_time_seconds{{{own(restarted)}}}[1h])")
    assert float(starts["value"][1]) == 1
    resets = server.query(f"resets({ORDERS}{{{own(restarted)}}}[1h])")
    assert [float(one["value"][1]) for one in resets] == [1] * len(KINDS)
    assert server.query(f'count_over_time(ALERTS{{alertname="OutriderCrashLoop"}}[1h])') == []


def test_the_alert_of_the_killed_instance_resolves_with_its_replacement(fleet: Fleet) -> None:
    instance = {"job": JOB, "instance": fleet.killed, "cluster": "local", "namespace": "fleet"}
    labels = instance | {"alertname": "OutriderScrapeFailing", "severity": "critical"}
    assert fleet.fired["labels"] == fleet.resolved["labels"] == labels
    assert moment(fleet.resolved["endsAt"]) > moment(fleet.fired["startsAt"])


def test_no_other_instance_fired_an_alert(fleet: Fleet, server: Prometheus) -> None:
    fired = server.query('count by (alertname, instance) (count_over_time(ALERTS{alertstate="firing"}[1h]))')
    alerts = {(one["metric"]["alertname"], one["metric"].get("instance")) for one in fired}
    killed = ("OutriderScrapeFailing", fleet.killed)
    assert killed in alerts
    for alert, instance in alerts - {killed}:
        if alert not in OF_TIME:
            # An instance that restarts or is scraped late misses scrapes; these rules have a `for`
            # of one second only.
            assert alert == "OutriderScrapeFailing"
            missed = [at for at, up in server.recorded(f"up{{{own(instance)}}}") if up == 0]
            failed = server.failed_scrapes(own(instance), INTERVAL)
            assert missed and (failed == [] or instance in {run.target for run in fleet.runs if run.end is not None}), instance


def test_an_instance_with_a_taken_port_appears_late_with_its_full_counts(fleet: Fleet, server: Prometheus) -> None:
    server.await_samples(f'outrider_start_failures_total{{{own(fleet.taken)},reason="address_in_use"}} >= 1')
    samples = server.recorded(f'{ORDERS}{{{own(fleet.taken)},kind="book"}}')
    # Orders from before its first successful scrape.
    assert samples[0][1] > 0
    ups = server.recorded(f"up{{{own(fleet.taken)}}}")
    assert ups[0][1] == 0 and 1 in {value for _, value in ups}


def test_exemplars_carry_the_trace_id_in_both_servers(fleet: Fleet, server: Prometheus) -> None:
    def traced() -> set[str] | None:
        found = server.exemplars("http_server_request_duration_seconds_bucket")
        assert {one["labels"]["trace_id"] for one in found} <= {TRACE}
        instances = {one["series"]["instance"] for one in found}
        return instances if len(instances) >= SIZE else None

    assert set(fleet.targets) <= poll("every instance has an exemplar", traced)


@pytest.mark.parametrize("panel", panels_of(BOARDS["outrider-fleet"]), ids=lambda panel: f"{panel['title']} ({panel['id']})")
def test_every_panel_of_the_fleet_dashboard_draws_data(fleet: Fleet, server: Prometheus, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        def is_drawn(target: dict[str, Any] = target) -> bool | None:
            # A window that includes the orders.
            drawn = server.query(resolved(target["expr"], "10m", JOB))
            if drawn and panel["type"] == "table" and "instance" in drawn[0]["metric"]:
                return {one["metric"]["instance"] for one in drawn} >= set(fleet.targets) or None
            return bool(drawn) or None

        poll(f"{panel['title']} draws {target['legendFormat']}", is_drawn)


def test_the_instances_panel_counts_the_fleet(fleet: Fleet, server: Prometheus) -> None:
    panel = next(one for one in panels_of(BOARDS["outrider-fleet"]) if one["title"] == "Instances")
    expression = resolved(panel["targets"][0]["expr"], "10m", JOB)

    def count() -> bool | None:
        return [int(one["value"][1]) for one in server.query(expression)] == [SIZE] or None

    poll(f"the panel counts {SIZE} instances", count)
