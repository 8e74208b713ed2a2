# SPDX-License-Identifier: Apache-2.0
"""A service as its users see it: requests by route, then what stands behind the routes."""

from typing import Any

from boards.behind import behind
from boards.board import Row, built
from boards.calls import calls
from boards.kit import HEAP, PAGE, STALLS, Bound, Query, graph, heat, number
from boards.promql import Histogram, gauge, rate, share, total
from naming import Naming
from rules.slo import ERROR_BUDGET, SLOW, SLOW_BUDGET

ERRORS = (
    Bound(float(ERROR_BUDGET), "yellow", "more than the error budget of the alerts"),
    Bound(0.0144, "red", "at this rate the budget of thirty days is gone in two"),
)
SLOWNESS = (
    Bound(float(SLOW_BUDGET), "yellow", "more than the latency budget of the alerts"),
    Bound(0.144, "red", "at this rate the budget of thirty days is gone in two"),
)
QUANTILES = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"))


def quantiles(histogram: Histogram, *chosen: str, exemplars: bool = False) -> list[Query]:
    """Some quantiles of a histogram; exemplars with the last one."""
    made = [(q, name) for q, name in QUANTILES if not chosen or name in chosen]
    return [Query(histogram.quantile(q), name, exemplars=exemplars and name == made[-1][1]) for q, name in made]


def now(names: Naming, requests: Histogram) -> Row:
    """Rate, errors and duration in one line."""
    failed = requests.where(f'{names.status}=~"5..|"')
    # The gauge of requests in flight knows no route.
    return Row(
        "Now",
        [
            number("Requests", "Requests answered a second, of the routes chosen.", "reqps", Query(total(requests.count), "requests")),
            number("Server errors", "Share of requests that ended with a status of 500 or above, or whose answer could not be sent.", "percentunit",
                   Query(share(total(failed.count), total(requests.count)), "5xx"), bounds=ERRORS),
            number("p99", "Ninety-nine of a hundred requests are answered within this time.", "s",
                   Query(requests.quantile(0.99), "p99")),
            number("Slow requests", f"Share of requests that took longer than {SLOW} s, the bound of the latency budget.",
                   "percentunit", Query(requests.above(SLOW), "slow"), bounds=SLOWNESS),
            number("In flight", "Requests that are being answered now, of all routes.", "short",
                   Query(total(gauge(names.active)), "requests")),
            number("Instances", "Targets that answer scrapes, of those chosen.", "short",
                   Query(f"count({gauge('outrider_build_info')})", "instances")),
        ],
    )


def requests_by_route(names: Naming, requests: Histogram) -> Row:
    """What came, how it ended and how long it took, by route."""
    route = f"{{{{{names.route}}}}}"
    failed = requests.where(f'{names.status}=~"5..|"')
    refused = requests.where(f'{names.status}=~"4.."')
    by = (names.method, names.route)
    return Row(
        "Requests",
        [
            graph("Requests by route", "Requests answered a second by method and route.", "reqps",
                  Query(total(requests.count, *by), f"{{{{{names.method}}}}} {route}"), stacked=True),
            graph("Errors by route", "Share of the requests of a route that ended with a status of 500 or above, or whose answer could not be sent.", "percentunit",
                  Query(share(total(failed.count, names.route), total(requests.count, names.route)), route), bounds=ERRORS),
            graph("Requests by status", "Requests answered a second by status.", "reqps",
                  Query(total(requests.count, names.status), f"{{{{{names.status}}}}}"), stacked=True),
            graph("Latency", "Time to answer, from the head of a request to the end of its answer. A dot is a request; its "
                  "trace is a click away where the data source knows of traces.", "s",
                  *quantiles(requests, exemplars=True), width=12),
            heat("Latency, all of it", "Requests a second by the time that they took; a dot is a request with a trace.", "s",
                 Query(requests.buckets(), "{{le}}", exemplars=True), Query(total(requests.native), "native", native=True), width=12),
            graph("p99 by route", "Ninety-nine of a hundred requests of a route are answered within this time.", "s",
                  Query(requests.quantile(0.99, names.route), route)),
            graph("Mean by route", "Mean time to answer by route; with the rate it says how much is in flight.", "s",
                  Query(requests.mean(names.route), route)),
            graph("p99 by instance", "One instance above the others is a bad neighbour, a cold cache or a noisy node.", "s",
                  Query(requests.quantile(0.99, "job", "instance"), "{{job}} {{instance}}"), to=(PAGE, HEAP, STALLS)),
            graph("In flight by instance", "Requests that are being answered, of all routes; a line that rises and stays is work "
                  "that does not end.", "short",
                  Query(total(gauge(names.active), "job", "instance"), "{{job}} {{instance}}"), stacked=True, to=(PAGE, STALLS)),
            graph("Client errors by route", "Share of the requests of a route that ended with a status of 400 to 499.", "percentunit",
                  Query(share(total(refused.count, names.route), total(requests.count, names.route)), route)),
            graph("Slow requests by route", f"Share of the requests of a route that took longer than {SLOW} s.", "percentunit",
                  Query(requests.above(SLOW, names.route), route), bounds=SLOWNESS),
        ],
    )


def beside_the_duration(names: Naming) -> Any:
    """What only one of the namings has."""
    if names.suffix:
        return graph("Requests, counted", "The counter of requests, by code: beside the histogram's own count.", "reqps",
                     Query(total(rate("http_requests_total", 'route=~"$route"'), "code"), "{{code}}"))
    failed = Histogram(names.duration, ('http_route=~"$route"', 'error_type!=""'))
    return graph("Errors by type", "Requests a second that an error ended, by its type; 500 and the like where there was none.",
                 "reqps", Query(total(failed.count, "error_type"), "{{error_type}}"))


def details(names: Naming) -> Row:
    """What is recorded beside the duration, under the same names in every naming."""
    def histogram(name: str) -> Histogram:
        return Histogram(name, ('http_route=~"$route"',))

    upgraded = histogram("http_server_upgraded_connection_duration_seconds")
    aborted = rate("http_server_aborted_requests_total", 'http_route=~"$route"')
    return Row(
        "Errors, sizes and connections",
        [
            beside_the_duration(names),
            graph("Aborted answers", "Answers a second that were cut off after their head, by route: the client went away, or "
                  "the body failed.", "cps", Query(total(aborted, "http_route"), "{{http_route}}")),
            graph("Protocol errors", "What came over connections and was no request, a second, by reason.", "cps",
                  Query(total(rate("http_server_protocol_errors_total"), "reason"), "{{reason}}")),
            graph("Time to first byte", "Time to the head of an answer, which is when a client sees that something comes.", "s",
                  *quantiles(histogram("http_server_time_to_first_byte_seconds"), "p50", "p99")),
            graph("Sizes of requests", "Bytes read of the bodies of requests.", "bytes",
                  *quantiles(histogram("http_server_request_body_size_bytes"), "p50", "p99")),
            graph("Sizes of answers", "Bytes written of the bodies of answers.", "bytes",
                  *quantiles(histogram("http_server_response_body_size_bytes"), "p50", "p99")),
            graph("Upgraded connections", "Connections that became WebSockets or the like and are open, by route.", "short",
                  Query(total(gauge("http_server_upgraded_connections", 'http_route=~"$route"'), "http_route",
                              "network_protocol_name"), "{{http_route}} {{network_protocol_name}}"), width=12),
            graph("Life of upgraded connections", "How long they were open, of those that ended.", "s",
                  *quantiles(upgraded, "p50", "p99"), width=12),
        ],
    )


def service(names: Naming) -> str:
    """The dashboard of a service, for a naming of its requests."""
    requests = Histogram(names.duration, (f'{names.route}=~"$route"',))
    rows = [now(names, requests), requests_by_route(names, requests), details(names)]
    return built(
        "service", "Service",
        "Requests of a service by route, their errors and their latency, what it calls, and the pools, caches, queues and "
        "limits behind its routes.",
        [*rows, *behind(), *calls()], names, has_routes=True,
    )
