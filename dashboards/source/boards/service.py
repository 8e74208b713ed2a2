# SPDX-License-Identifier: Apache-2.0
"""Dashboard of a service: requests by route, then its instruments and outgoing calls."""

from typing import Any

from boards.board import Row, dashboard_json
from boards.calls import calls
from boards.instruments import instruments
from boards.kit import HEAP, PAGE, STALLS, Bound, Query, graph, heat, latest
from boards.promql import Histogram, gauge, rate, share, total
from naming import Naming
from rules.slo import ERROR_BUDGET, SLOW, SLOW_BUDGET

ERRORS = (
    Bound(float(ERROR_BUDGET), "yellow", "more than the error budget of the alerts"),
    Bound(0.0144, "red", "at this rate a 30-day budget is spent in two days"),
)
SLOWNESS = (
    Bound(float(SLOW_BUDGET), "yellow", "more than the latency budget of the alerts"),
    Bound(0.144, "red", "at this rate a 30-day budget is spent in two days"),
)
QUANTILES = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"))


def quantiles(histogram: Histogram, *chosen: str, exemplars: bool = False) -> list[Query]:
    """Quantiles of a histogram, by default all; exemplars with the last one."""
    selected = [(q, name) for q, name in QUANTILES if not chosen or name in chosen]
    return [Query(histogram.quantile(q), name, exemplars=exemplars and name == selected[-1][1]) for q, name in selected]


def overview(names: Naming, requests: Histogram) -> Row:
    """Rate, errors and duration, one value each."""
    failed = requests.where(f'{names.status}=~"5..|"')
    # The gauge of requests in flight has no route label.
    return Row(
        "Overview",
        [
            latest("Requests", "Completed requests per second, over the selected "
                   "routes.", "reqps", Query(total(requests.count), "requests")),
            latest("Server errors", "Share of requests that ended with a status of 500 or above, or whose response could not be "
                   "sent.", "percentunit",
                   Query(share(total(failed.count), total(requests.count)), "5xx"), bounds=ERRORS),
            latest("p99", "99th percentile of the request duration.", "s",
                   Query(requests.quantile(0.99), "p99")),
            latest("Slow requests", f"Share of requests that took longer than {SLOW} s, the threshold of the latency budget.",
                   "percentunit", Query(requests.above(SLOW), "slow"), bounds=SLOWNESS),
            latest("In flight", "Requests in progress, over all routes.", "short",
                   Query(total(gauge(names.active)), "requests")),
            latest("Instances", "Selected targets that respond to scrapes.", "short",
                   Query(f"count({gauge('outrider_build_info')})", "instances")),
        ],
    )


def requests_by_route(names: Naming, requests: Histogram) -> Row:
    """Requests by route: rate, errors and latency."""
    route = f"{{{{{names.route}}}}}"
    failed = requests.where(f'{names.status}=~"5..|"')
    rejected = requests.where(f'{names.status}=~"4.."')
    by = (names.method, names.route)
    return Row(
        "Requests",
        [
            graph("Requests by route", "Completed requests per second, by method and route.", "reqps",
                  Query(total(requests.count, *by), f"{{{{{names.method}}}}} {route}"), stacked=True),
            graph("Errors by route", "Share of the requests of a route that ended with a status of 500 or above, or whose response "
                  "could not be sent.", "percentunit",
                  Query(share(total(failed.count, names.route), total(requests.count, names.route)), route), bounds=ERRORS),
            graph("Requests by status", "Completed requests per second, by status.", "reqps",
                  Query(total(requests.count, names.status), f"{{{{{names.status}}}}}"), stacked=True),
            graph("Latency", "Request duration, from the request head to the end of the response. A dot is a sampled request; click it for "
                  "its trace, if the data source is linked to a trace store.", "s",
                  *quantiles(requests, exemplars=True), width=12),
            heat("Latency distribution", "Requests per second by duration; a dot is a request with a trace.", "s",
                 Query(requests.buckets(), "{{le}}", exemplars=True), Query(total(requests.native), "native", native=True), width=12),
            graph("p99 by route", "99th percentile of the request duration, by route.", "s",
                  Query(requests.quantile(0.99, names.route), route)),
            graph("Mean by route", "Mean request duration by route; multiplied by the rate, it is the number of requests in flight.", "s",
                  Query(requests.mean(names.route), route)),
            graph("p99 by instance", "99th percentile by instance. An instance above the others may have a noisy neighbour, a cold "
                  "cache or a slow node.", "s",
                  Query(requests.quantile(0.99, "job", "instance"), "{{job}} {{instance}}"), to=(PAGE, HEAP, STALLS)),
            graph("In flight by instance", "Requests in progress, over all routes; a line that rises and stays high means requests "
                  "that do not end.", "short",
                  Query(total(gauge(names.active), "job", "instance"), "{{job}} {{instance}}"), stacked=True, to=(PAGE, STALLS)),
            graph("Client errors by route", "Share of the requests of a route that ended with a status of 400 to 499.", "percentunit",
                  Query(share(total(rejected.count, names.route), total(requests.count, names.route)), route)),
            graph("Slow requests by route", f"Share of the requests of a route that took longer than {SLOW} s.", "percentunit",
                  Query(requests.above(SLOW, names.route), route), bounds=SLOWNESS),
        ],
    )


def naming_specific_panel(names: Naming) -> Any:
    """The panel of the metric that only this naming has."""
    if names.suffix:
        return graph("Requests by code", "Requests per second from the request counter, by code.", "reqps",
                     Query(total(rate("http_requests_total", 'route=~"$route"'), "code"), "{{code}}"))
    failed = Histogram(names.duration, ('http_route=~"$route"', 'error_type!=""'))
    return graph("Errors by type", "Requests per second that ended with an error, by its type; the status code if no error was thrown.",
                 "reqps", Query(total(failed.count, "error_type"), "{{error_type}}"))


def details(names: Naming) -> Row:
    """Request metrics whose names do not depend on the naming."""
    def histogram(name: str) -> Histogram:
        return Histogram(name, ('http_route=~"$route"',))

    upgraded = histogram("http_server_upgraded_connection_duration_seconds")
    aborted = rate("http_server_aborted_requests_total", 'http_route=~"$route"')
    return Row(
        "Errors, sizes and connections",
        [
            naming_specific_panel(names),
            graph("Aborted responses", "Responses per second that were aborted after their head, by route: the client disconnected, or "
                  "the body failed.", "cps", Query(total(aborted, "http_route"), "{{http_route}}")),
            graph("Protocol errors", "Inputs per second that could not be parsed as an HTTP request, by reason.", "cps",
                  Query(total(rate("http_server_protocol_errors_total"), "reason"), "{{reason}}")),
            graph("Time to first byte", "Time to the head of the response, when the client sees the first byte.", "s",
                  *quantiles(histogram("http_server_time_to_first_byte_seconds"), "p50", "p99")),
            graph("Request body size", "Bytes read of request bodies.", "bytes",
                  *quantiles(histogram("http_server_request_body_size_bytes"), "p50", "p99")),
            graph("Response body size", "Bytes written of response bodies.", "bytes",
                  *quantiles(histogram("http_server_response_body_size_bytes"), "p50", "p99")),
            graph("Upgraded connections", "Open upgraded connections, such as WebSockets, by route.", "short",
                  Query(total(gauge("http_server_upgraded_connections", 'http_route=~"$route"'), "http_route",
                              "network_protocol_name"), "{{http_route}} {{network_protocol_name}}"), width=12),
            graph("Lifetime of upgraded connections", "Lifetime of closed upgraded connections.", "s",
                  *quantiles(upgraded, "p50", "p99"), width=12),
        ],
    )


def service(names: Naming) -> str:
    """The dashboard of a service, for a naming of its requests."""
    requests = Histogram(names.duration, (f'{names.route}=~"$route"',))
    rows = [overview(names, requests), requests_by_route(names, requests), details(names)]
    return dashboard_json(
        "service", "Service",
        "A service's requests by route, their errors and latency, its outgoing calls, and its pools, caches, queues and "
        "limits.",
        [*rows, *instruments(), *calls()], names, has_routes=True,
    )
