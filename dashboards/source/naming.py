# SPDX-License-Identifier: Apache-2.0
"""How requests are named: `configuration.http.naming` of the service."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Naming:
    """Names of the metrics of requests, and of their labels."""

    suffix: str
    """Of files and uids."""
    title: str
    """Of dashboards; empty for the naming that a service has when nobody chose one."""
    duration: str
    active: str
    method: str
    route: str
    status: str


OPEN_TELEMETRY = Naming(
    "", "", "http_server_request_duration_seconds", "http_server_active_requests",
    "http_request_method", "http_route", "http_response_status_code",
)
PROMETHEUS = Naming(
    "-prometheus", "Prometheus naming", "http_request_duration_seconds", "http_requests_in_flight",
    "method", "route", "code",
)
NAMINGS = (OPEN_TELEMETRY, PROMETHEUS)
