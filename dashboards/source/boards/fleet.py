# SPDX-License-Identifier: Apache-2.0
"""Dashboard of many instances: their number and versions, totals by job, and outliers."""

from boards.board import RESTARTS, Row, dashboard_json
from boards.kit import HEAP, PAGE, STALLS, Bound, Column, Query, graph, latest, target_table
from boards.promql import Histogram, gauge, rate, share, top, total
from boards.service import ERRORS
from naming import Naming

WHERE = ("job", "instance")
OF = "{{job}} {{instance}}"
UPTIME = f"time() - max by (job, instance) ({gauge('process_start_time_seconds')})"
CPU = total(rate("process_cpu_seconds_total"), *WHERE)
RESIDENT = total(gauge("process_resident_memory_bytes"), *WHERE)
OUTLIER = (
    Bound(2, "yellow", "twice the median of its job"),
    Bound(4, "red", "four times the median of its job"),
)
CELL = (("Agent page of the instance", "http://${__data.fields.Instance}/"),
        ("Heap profile of the instance (flame graph)", "http://${__data.fields.Instance}/debug/pprof/heap?format=flamegraph"))


def to_median(expression: str) -> str:
    """The value of an instance divided by the median of its job."""
    return f"({expression}) / on (job) group_left () (quantile by (job) (0.5, {expression}) > 0)"


def overview(requests: Histogram, failed: Histogram) -> Row:
    """Instances, versions, requests and errors of the fleet, one value each."""
    return Row(
        "Overview",
        [
            latest("Instances", "Selected targets that respond to scrapes.", "short",
                   Query(f"count({gauge('outrider_build_info')})", "instances")),
            latest("Versions", "Versions of the running services; more than one per service during a deploy.",
                   "short", Query(f"count(count by (job, service_version) ({gauge('target_info')}))", "versions")),
            latest("Just started", "Instances that started less than 15 minutes ago.", "short",
                   Query(f"count({UPTIME} < 900) or count({gauge('outrider_build_info')}) * 0", "instances")),
            latest("Requests", "Completed requests per second, over all instances.", "reqps", Query(total(requests.count), "requests")),
            latest("Server errors", "Share of requests that ended with a status of 500 or above, or whose response could not be "
                   "sent.", "percentunit",
                   Query(share(total(failed.count), total(requests.count)), "5xx"), bounds=ERRORS),
            latest("p99", "99th percentile of the request duration, over all instances.", "s",
                   Query(requests.quantile(0.99), "p99")),
        ],
    )


def instances() -> Row:
    """Instances by job and version, with uptime and restarts."""
    return Row(
        "Instances and versions",
        [
            graph("Instances", "Targets that respond to scrapes, by job.", "short",
                  Query(f"count by (job) ({gauge('outrider_build_info')})", "{{job}}"), stacked=True),
            graph("Versions", "Instances by version of their service; one version replaces another during a deploy.", "short",
                  Query(f"count by (job, service_version) ({gauge('target_info')})", "{{job}} {{service_version}}"), stacked=True),
            graph("Outrider versions", "Instances by version of the agent and of Swift.", "short",
                  Query(f"count by (version, swift_version) ({gauge('outrider_build_info')})", "{{version}}, Swift {{swift_version}}"),
                  stacked=True),
            graph("Uptime", "Time since an instance started; a drop to zero is a restart.", "s", Query(UPTIME, OF), width=12, to=(PAGE,)),
            graph("Restarts", "Instances that have just started, by job.", "short",
                  Query(f"count by (job) ({RESTARTS}) or count by (job) ({gauge('outrider_build_info')}) * 0", "{{job}}"), width=12),
        ],
    )


def totals(requests: Histogram, failed: Histogram, names: Naming) -> Row:
    """Totals by job: sums of rates, which stay correct when instances stop, unlike a rate of sums."""
    jobs = total(requests.count, "job")
    return Row(
        "Totals by job",
        [
            graph("Requests by job", "Completed requests per second. The rate is taken for each instance before summing, so that an "
                  "instance that stops does not distort the total.", "reqps", Query(jobs, "{{job}}"), stacked=True),
            graph("Errors by job", "Share of the requests of a job that ended with a status of 500 or above, or whose response could "
                  "not be sent.", "percentunit",
                  Query(share(total(failed.count, "job"), jobs), "{{job}}"), bounds=ERRORS),
            graph("p99 by job", "99th percentile over the buckets of all instances; a mean of per-instance quantiles would be wrong.", "s",
                  Query(requests.quantile(0.99, "job"), "{{job}}")),
            graph("In flight by job", "Requests in progress, by job.", "short",
                  Query(total(gauge(names.active), "job"), "{{job}}"), stacked=True),
            graph("CPU by job", "CPU cores used by the instances of a "
                  "job.", "short", Query(total(rate("process_cpu_seconds_total"), "job"), "{{job}}"), stacked=True),
            graph("Memory by job", "Resident memory of the instances of a job.", "bytes",
                  Query(total(gauge("process_resident_memory_bytes"), "job"), "{{job}}"), stacked=True),
        ],
    )


def outliers(requests: Histogram, failed: Histogram) -> Row:
    """Instances that differ from the others of their job."""
    traffic = total(requests.count, *WHERE)
    return Row(
        "Outliers",
        [
            graph("p99 relative to the median", "p99 of an instance divided by the median of its job; 1 is typical.", "short",
                  Query(top(10, to_median(requests.quantile(0.99, *WHERE))), OF), bounds=OUTLIER, to=(PAGE, STALLS)),
            graph("Memory relative to the median", "Resident memory of an instance divided by the median of its job.", "short",
                  Query(top(10, to_median(RESIDENT)), OF), bounds=OUTLIER, to=(PAGE, HEAP)),
            graph("CPU relative to the median", "CPU usage of an instance divided by the median of its job.", "short",
                  Query(top(10, to_median(CPU)), OF), bounds=OUTLIER, to=(PAGE,)),
            graph("Requests relative to the median", "Request rate of an instance divided by the median of its job; shows uneven load "
                  "balancing.", "short",
                  Query(top(10, to_median(traffic)), OF), bounds=OUTLIER, to=(PAGE,)),
            graph("Errors by instance", "Share of requests that ended with a status of 500 or above; the ten highest instances.",
                  "percentunit", Query(top(10, share(total(failed.count, *WHERE), traffic)), OF), bounds=ERRORS, to=(PAGE,)),
            graph("Latency by instance", "99th percentile of the request duration; the ten slowest instances.", "s",
                  Query(top(10, requests.quantile(0.99, *WHERE)), OF), to=(PAGE, STALLS)),
        ],
    )


def all_instances(requests: Histogram, failed: Histogram) -> Row:
    """A table of all instances."""
    traffic = total(requests.count, *WHERE)
    columns = (
        Column("Uptime", "s", UPTIME),
        Column("Requests", "reqps", traffic),
        Column("Errors", "percentunit", share(total(failed.count, *WHERE), traffic), ERRORS),
        Column("p99", "s", requests.quantile(0.99, *WHERE)),
        Column("CPU", "short", CPU),
        Column("Resident", "bytes", RESIDENT),
    )
    return Row(
        "All instances",
        [target_table("Instance table", "Current values of each instance; click an instance to open its agent page.", columns,
              {"job": "Job", "instance": "Instance"}, CELL)],
    )


def fleet(names: Naming) -> str:
    """The dashboard of many instances, for a naming of their requests."""
    requests = Histogram(names.duration)
    failed = requests.where(f'{names.status}=~"5..|"')
    return dashboard_json(
        "fleet", "Fleet",
        "Many instances of many services: number of instances, versions, totals by job, and outliers.",
        [
            overview(requests, failed), instances(), totals(requests, failed, names), outliers(requests, failed),
            all_instances(requests, failed),
        ],
        names,
    )
