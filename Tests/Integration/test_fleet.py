# SPDX-License-Identifier: Apache-2.0
"""A fleet of twenty, one restarted, one killed and replaced, one whose port was taken: what is recorded is what happened.

How far a server may be from the truth. A counter lives in its process and goes with it; what is recorded of a process is
its last scrape. Prometheus writes a scrape down under the moment it began, give or take 2 ms, and the counter is read
between then and `scrape_duration_seconds` later. So a last scrape at t shows every order that was answered before t, and
none that was sent after t and that duration. What was ordered after the last scrape of a process that ended is not
recorded anywhere; between two scrapes lie one interval, and one more scrape that the end may have cut. Where the process lives on,
nothing is missing: it is scraped again.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from alerting import moment
from boards import BOARDS, panels_of, resolved
from fleet_lab import INTERVAL, JOB, KINDS, ORDERS, SEEN, SIZE, TOLERANCE, Fleet, last_scrape, unseen
from harness import poll
from monitored import TRACE
from prometheus_server import Prometheus

pytestmark = pytest.mark.wait

OF_TIME = {"OutriderExecutorDelay", "OutriderStall", "OutriderLatencyBudgetBurn", "OutriderLatencyBudgetBurnSlow"}
"""Alerts of how long something takes: on a machine that is busy with other programs they are right."""


@pytest.fixture(scope="module", name="fleet")
def fixture_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet with its story behind it."""
    with Fleet(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture(name="server", params=["direct", "central"])
def fixture_server(fleet: Fleet, request: pytest.FixtureRequest) -> Prometheus:
    """The server that scrapes, and the one that is written to by a Prometheus in agent mode."""
    return fleet.servers[request.param]


def own(target: str) -> str:
    """The labels of an instance, as a selector has them."""
    return f'job="{JOB}",instance="{target}"'


def test_the_story_was_told_whole(fleet: Fleet) -> None:
    assert len(fleet.runs) == SIZE + 2
    assert [run.end is None for run in fleet.runs].count(False) == 2
    assert all(run.answered() >= 20 for run in fleet.runs)


def test_what_is_recorded_of_each_process_is_what_its_customers_counted(fleet: Fleet, server: Prometheus) -> None:
    for run in fleet.runs:
        total, at, took = last_scrape(server, run)
        assert run.answered(at - TOLERANCE) <= total <= run.sent(at + took + TOLERANCE), run.target
        if run.end is None:
            assert total == run.answered() == run.sent(), run.target
        else:
            # The next scrape would have come after its end, but for one that the end cut short.
            assert run.ending is not None
            tried = [scrape for scrape in server.failed_scrapes(own(run.target), INTERVAL) if at < scrape < run.ending]
            assert len(tried) <= 1, run.target


def test_the_sum_of_the_fleet_is_the_truth_within_the_last_interval_of_those_that_ended(
    fleet: Fleet, server: Prometheus
) -> None:
    ended = [run for run in fleet.runs if run.end is not None]
    truth = sum(run.answered() for run in fleet.runs)
    lost = sum(unseen(server, run) for run in ended)
    total = sum(last_scrape(server, run)[0] for run in fleet.runs)
    assert truth - lost <= total <= truth + sum(run.sent() - run.answered() for run in ended)
    # So few that nobody would see it on a panel.
    assert lost * SEEN <= truth


def test_sums_over_living_instances_are_exact(fleet: Fleet, server: Prometheus) -> None:
    living = [run for run in fleet.runs if run.end is None]
    for kind in KINDS:
        truth = sum(1 for run in living for order in run.orders if order.kind == kind)
        server.await_samples(f'sum({ORDERS}{{job="{JOB}",kind="{kind}"}}) == {truth}')
    requests = f'http_server_request_duration_seconds_count{{job="{JOB}",http_route="/orders",http_response_status_code="201"}}'
    server.await_samples(f"sum({requests}) == {sum(run.answered() for run in living)}")


def test_an_increase_is_off_by_the_first_sample_and_by_one_interval_at_each_end(fleet: Fleet, server: Prometheus) -> None:
    """increase() does not count a series' first sample. It stretches the rest by half an interval where the series begins
    within the window, and up to the window's end where that is within 1.1 intervals of the last sample.
    """
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


def test_a_restart_is_one_reset_and_no_alarm(fleet: Fleet, server: Prometheus) -> None:
    [restarted] = {run.target for run in fleet.runs if run.end is not None} - {fleet.killed}
    [starts] = server.query(f"changes(process_start_time_seconds{{{own(restarted)}}}[1h])")
    assert float(starts["value"][1]) == 1
    resets = server.query(f"resets({ORDERS}{{{own(restarted)}}}[1h])")
    assert [float(one["value"][1]) for one in resets] == [1] * len(KINDS)
    assert server.query(f'count_over_time(ALERTS{{alertname="OutriderCrashLoop"}}[1h])') == []


def test_the_killed_instance_is_told_of_and_its_replacement_ends_it(fleet: Fleet) -> None:
    instance = {"job": JOB, "instance": fleet.killed, "cluster": "local", "namespace": "fleet"}
    labels = instance | {"alertname": "OutriderScrapeFailing", "severity": "critical"}
    assert fleet.told["labels"] == fleet.told_at_the_end["labels"] == labels
    assert moment(fleet.told_at_the_end["endsAt"]) > moment(fleet.told["startsAt"])


def test_nobody_else_was_told_of(fleet: Fleet, server: Prometheus) -> None:
    fired = server.query('count by (alertname, instance) (count_over_time(ALERTS{alertstate="firing"}[1h]))')
    told = {(one["metric"]["alertname"], one["metric"].get("instance")) for one in fired}
    killed = ("OutriderScrapeFailing", fleet.killed)
    assert killed in told
    for alert, instance in told - {killed}:
        if alert not in OF_TIME:
            # One that is restarted, or that is scraped too late, misses scrapes; these rules wait for a second only.
            assert alert == "OutriderScrapeFailing"
            missed = [at for at, up in server.recorded(f"up{{{own(instance)}}}") if up == 0]
            failed = server.failed_scrapes(own(instance), INTERVAL)
            assert missed and (failed == [] or instance in {run.target for run in fleet.runs if run.end is not None}), instance


def test_an_instance_whose_port_was_taken_comes_late_with_everything_it_counted(fleet: Fleet, server: Prometheus) -> None:
    server.await_samples(f'outrider_start_failures_total{{{own(fleet.taken)},reason="address_in_use"}} >= 1')
    samples = server.recorded(f'{ORDERS}{{{own(fleet.taken)},kind="book"}}')
    # Orders from before anybody could see it.
    assert samples[0][1] > 0
    ups = server.recorded(f"up{{{own(fleet.taken)}}}")
    assert ups[0][1] == 0 and 1 in {value for _, value in ups}


def test_exemplars_lead_to_traces_from_both(fleet: Fleet, server: Prometheus) -> None:
    def traced() -> set[str] | None:
        found = server.exemplars("http_server_request_duration_seconds_bucket")
        assert {one["labels"]["trace_id"] for one in found} <= {TRACE}
        instances = {one["series"]["instance"] for one in found}
        return instances if len(instances) >= SIZE else None

    assert set(fleet.targets) <= poll("every instance has an exemplar", traced)


@pytest.mark.parametrize("panel", panels_of(BOARDS["outrider-fleet"]), ids=lambda panel: f"{panel['title']} ({panel['id']})")
def test_every_panel_of_the_fleet_draws_the_fleet(fleet: Fleet, server: Prometheus, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        def is_drawn(target: dict[str, Any] = target) -> bool | None:
            # A window that reaches back to the orders.
            drawn = server.query(resolved(target["expr"], "10m", JOB))
            if drawn and panel["type"] == "table" and "instance" in drawn[0]["metric"]:
                return {one["metric"]["instance"] for one in drawn} >= set(fleet.targets) or None
            return bool(drawn) or None

        poll(f"{panel['title']} draws {target['legendFormat']}", is_drawn)


def test_the_fleet_is_counted_right(fleet: Fleet, server: Prometheus) -> None:
    panel = next(one for one in panels_of(BOARDS["outrider-fleet"]) if one["title"] == "Instances")
    expression = resolved(panel["targets"][0]["expr"], "10m", JOB)

    def count() -> bool | None:
        return [int(one["value"][1]) for one in server.query(expression)] == [SIZE] or None

    poll(f"{SIZE} are counted", count)
