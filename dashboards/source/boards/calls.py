# SPDX-License-Identifier: Apache-2.0
"""Rows of outgoing HTTP requests, and of gRPC calls in both directions."""

from boards.board import Row
from boards.kit import Query, graph
from boards.promql import Histogram, gauge, share, total

SERVER = ("server_address", "server_port")
OF_SERVER = "{{server_address}}:{{server_port}}"
REQUESTS = Histogram("http_client_request_duration_seconds")
SERVED = Histogram("rpc_server_call_duration_seconds")
CALLED = Histogram("rpc_client_call_duration_seconds")


def http() -> Row:
    """Outgoing HTTP requests."""
    # A request that the caller cancelled does not indicate a fault of the server.
    failed = REQUESTS.where('error_type!~"|cancelled"')
    life = Histogram("http_client_connection_duration_seconds")
    return Row(
        "Outgoing HTTP requests",
        [
            graph("Outgoing requests", "Requests per second to each "
                  "server.", "reqps", Query(total(REQUESTS.count, *SERVER), OF_SERVER), stacked=True),
            graph("Failed outgoing requests", "Share of requests to a server that ended with an error or a status of 400 or "
                  "above.", "percentunit",
                  Query(share(total(failed.count, *SERVER), total(REQUESTS.count, *SERVER)), OF_SERVER), most=1),
            graph("Latency of outgoing requests", "99th percentile of the duration of requests to a server.", "s",
                  Query(REQUESTS.quantile(0.99, *SERVER), OF_SERVER)),
            graph("Outgoing connections", "Open connections by peer and state.", "short",
                  Query(total(gauge("http_client_open_connections"), "network_peer_address", "http_connection_state"),
                        "{{network_peer_address}} {{http_connection_state}}"), width=12),
            graph("Lifetime of outgoing connections", "Lifetime of closed connections to servers.", "s",
                  Query(life.quantile(0.5), "p50"), Query(life.quantile(0.99), "p99"), width=12),
        ],
    )


def grpc() -> Row:
    """gRPC, as a server and as a client."""
    def failed(calls: Histogram) -> str:
        return share(total(calls.where('error_type!~"|CANCELLED"').count, "rpc_method"), total(calls.count, "rpc_method"))

    return Row(
        "gRPC",
        [
            graph("Incoming calls", "Completed incoming calls per second, by method and status.", "reqps",
                  Query(total(SERVED.count, "rpc_method", "rpc_response_status_code"), "{{rpc_method}} {{rpc_response_status_code}}"),
                  stacked=True),
            graph("Failed incoming calls", "Share of the calls of a method that ended with an error.", "percentunit",
                  Query(failed(SERVED), "{{rpc_method}}"), most=1),
            graph("Latency of incoming calls", "99th percentile of the duration of incoming calls, by method.", "s",
                  Query(SERVED.quantile(0.99, "rpc_method"), "{{rpc_method}}")),
            graph("Outgoing calls", "Completed outgoing calls per second, by server and method.", "reqps",
                  Query(total(CALLED.count, "server_address", "rpc_method"), "{{server_address}} {{rpc_method}}"), stacked=True),
            graph("Failed outgoing calls", "Share of the calls of a method that ended with an error.", "percentunit",
                  Query(failed(CALLED), "{{rpc_method}}"), most=1),
            graph("Latency of outgoing calls", "99th percentile of the duration of outgoing calls, by method.", "s",
                  Query(CALLED.quantile(0.99, "rpc_method"), "{{rpc_method}}")),
            graph("Calls in progress", "Incoming and outgoing calls in progress, by method.", "short",
                  Query(total(gauge("rpc_server_active_calls"), "rpc_method"), "{{rpc_method}} incoming"),
                  Query(total(gauge("rpc_client_active_calls"), "rpc_method"), "{{rpc_method}} outgoing"), width=24),
        ],
    )


def calls() -> list[Row]:
    """All rows of calls."""
    return [http(), grpc()]
