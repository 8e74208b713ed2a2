# SPDX-License-Identifier: Apache-2.0
"""Calls to other services, and gRPC's both ways."""

from boards.board import Row
from boards.kit import Query, graph
from boards.promql import Histogram, gauge, share, total

SERVER = ("server_address", "server_port")
OF_SERVER = "{{server_address}}:{{server_port}}"
REQUESTS = Histogram("http_client_request_duration_seconds")
SERVED = Histogram("rpc_server_call_duration_seconds")
CALLED = Histogram("rpc_client_call_duration_seconds")


def http() -> Row:
    """Requests to other services."""
    # What the caller gave up says nothing about the server.
    failed = REQUESTS.where('error_type!~"|cancelled"')
    life = Histogram("http_client_connection_duration_seconds")
    return Row(
        "Calls of other services",
        [
            graph("Calls", "Requests a second to each server.", "reqps", Query(total(REQUESTS.count, *SERVER), OF_SERVER), stacked=True),
            graph("Failed calls", "Share of the requests to a server that an error or a status of 400 and above ended.", "percentunit",
                  Query(share(total(failed.count, *SERVER), total(REQUESTS.count, *SERVER)), OF_SERVER), most=1),
            graph("Latency of calls", "Ninety-nine of a hundred requests to a server are answered within this time.", "s",
                  Query(REQUESTS.quantile(0.99, *SERVER), OF_SERVER)),
            graph("Connections to servers", "Open connections by peer and state.", "short",
                  Query(total(gauge("http_client_open_connections"), "network_peer_address", "http_connection_state"),
                        "{{network_peer_address}} {{http_connection_state}}"), width=12),
            graph("Life of connections", "How long connections to servers were open.", "s",
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
            graph("Calls served", "Calls answered a second, by method and status.", "reqps",
                  Query(total(SERVED.count, "rpc_method", "rpc_response_status_code"), "{{rpc_method}} {{rpc_response_status_code}}"),
                  stacked=True),
            graph("Failed calls served", "Share of the calls of a method that an error ended.", "percentunit",
                  Query(failed(SERVED), "{{rpc_method}}"), most=1),
            graph("Latency of calls served", "Ninety-nine of a hundred calls of a method are answered within this time.", "s",
                  Query(SERVED.quantile(0.99, "rpc_method"), "{{rpc_method}}")),
            graph("Calls made", "Calls a second to other services, by server and method.", "reqps",
                  Query(total(CALLED.count, "server_address", "rpc_method"), "{{server_address}} {{rpc_method}}"), stacked=True),
            graph("Failed calls made", "Share of the calls of a method that an error ended.", "percentunit",
                  Query(failed(CALLED), "{{rpc_method}}"), most=1),
            graph("Latency of calls made", "Ninety-nine of a hundred calls of a method are answered within this time.", "s",
                  Query(CALLED.quantile(0.99, "rpc_method"), "{{rpc_method}}")),
            graph("Calls on their way", "Calls that are being answered, or waited for.", "short",
                  Query(total(gauge("rpc_server_active_calls"), "rpc_method"), "{{rpc_method}} served"),
                  Query(total(gauge("rpc_client_active_calls"), "rpc_method"), "{{rpc_method}} made"), width=24),
        ],
    )


def calls() -> list[Row]:
    """All of them."""
    return [http(), grpc()]
