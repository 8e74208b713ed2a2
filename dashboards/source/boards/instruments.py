# SPDX-License-Identifier: Apache-2.0
"""Rows of the instruments: pools, caches, queues, limiters, locks, fan-out and drain."""

from boards.board import Row
from boards.kit import PAGE, Bound, Query, graph
from boards.promql import Histogram, gauge, increase, rate, share, total

POOL = "db_client_connection_pool_name"
OF_POOL = f"{{{{{POOL}}}}}"
CACHE = ("cache", "level")
OF_CACHE = "{{cache}} {{level}}"
FULL = (
    Bound(0.9, "yellow", "no reserve for bursts"),
    Bound(1, "red", "new requests wait or are rejected"),
)


def durations(title: str, description: str, name: str, by: tuple[str, ...], legend: str) -> object:
    """Median and 99th percentile of a duration, by labels."""
    histogram = Histogram(name)
    return graph(title, description, "s", Query(histogram.quantile(0.5, *by), f"{legend} p50"),
                 Query(histogram.quantile(0.99, *by), f"{legend} p99"))


def pools() -> Row:
    """Connection pools of databases, and object pools."""
    used = total(gauge("db_client_connection_count", 'state="used"'), POOL)
    maximum = total(gauge("db_client_connection_max"), POOL)
    return Row(
        "Connection pools",
        [
            graph("Connections in use", "Share of a pool's connections that are in use, over the selected instances.", "percentunit",
                  Query(f"{used} / {maximum}", OF_POOL), bounds=FULL),
            graph("Connections", "Connections of a pool by state, and its maximum.", "short",
                  Query(total(gauge("db_client_connection_count"), POOL, "state"), f"{OF_POOL} {{{{state}}}}"),
                  Query(maximum, f"{OF_POOL} limit")),
            graph("Waiting requests", "Requests waiting for a connection. If the value stays above zero, the pool is too "
                  "small or connections are not returned.", "short",
                  Query(total(gauge("db_client_connection_pending_requests"), POOL), OF_POOL),
                  bounds=(Bound(1, "yellow", "requests are waiting"),)),
            durations("Connection wait time", "Time from requesting a connection to obtaining it.",
                      "db_client_connection_wait_time_seconds", (POOL,), OF_POOL),
            durations("Connection use time", "Time from obtaining a connection to returning it.",
                      "db_client_connection_use_time_seconds", (POOL,), OF_POOL),
            durations("Connection creation time", "Time to open a new connection.", "db_client_connection_create_time_seconds",
                      (POOL,), OF_POOL),
            graph("Requests without a connection", "Requests per second that did not obtain a connection, by result.", "cps",
                  Query(total(rate("db_client_connection_requests_total", 'result!="success"'), POOL, "result"),
                        f"{OF_POOL} {{{{result}}}}")),
            graph("Failed connection attempts", "Failed attempts per second to open a connection.", "cps",
                  Query(total(rate("db_client_connection_create_failures_total"), POOL), OF_POOL)),
            graph("Object reuse", "Share of the objects taken from a pool that were reused; the others were newly created.", "percentunit",
                  Query(share(total(rate("object_pool_gets_total", 'result="reused"'), "pool"),
                              total(rate("object_pool_gets_total"), "pool")), "{{pool}}"), most=1),
        ],
    )


def caches() -> Row:
    """Caches by level."""
    requests = rate("cache_requests_total")
    hits = total(rate("cache_requests_total", 'result=~"hit|negative"'), *CACHE)
    return Row(
        "Caches",
        [
            graph("Hit ratio", "Share of lookups answered from the cache, including negative entries.", "percentunit",
                  Query(share(hits, total(requests, *CACHE)), OF_CACHE), most=1),
            graph("Lookups", "Cache lookups per second, by result.", "cps",
                  Query(total(requests, *CACHE, "result"), f"{OF_CACHE} {{{{result}}}}")),
            graph("Evictions", "Entries removed per second, by cause. size: the cache is too small; expired: the time to live is short.",
                  "cps", Query(total(rate("cache_evictions_total"), *CACHE, "cause"), f"{OF_CACHE} {{{{cause}}}}")),
            durations("Load duration", "Duration of successful loads after a cache miss.", "cache_load_duration_seconds", CACHE, OF_CACHE),
            graph("Loads by result", "Loads after a cache miss per second. failure: loading from the cache's source failed.", "cps",
                  Query(total(rate("cache_loads_total"), *CACHE, "result"), f"{OF_CACHE} {{{{result}}}}"), stacked=True),
            graph("Failed lookups", "Lookups per second that failed, for example because a remote cache is down.", "cps",
                  Query(total(rate("cache_lookup_failures_total"), *CACHE), OF_CACHE)),
            graph("Entries", "Entries in the cache, over the selected instances.", "short",
                  Query(total(gauge("cache_entries"), *CACHE), OF_CACHE)),
        ],
    )


def queues() -> Row:
    """Work queues and their workers."""
    depth = total(gauge("work_queue_depth"), "queue")
    return Row(
        "Queues and workers",
        [
            graph("Queue usage", "Share of a queue's capacity that is in use.", "percentunit",
                  Query(f"{depth} / {total(gauge('work_queue_capacity'), 'queue')}", "{{queue}}"), bounds=FULL),
            graph("Queue items", "Items waiting in a queue and items being processed.", "short",
                  Query(depth, "{{queue}} waiting"), Query(total(gauge("work_queue_active"), "queue"), "{{queue}} processing")),
            durations("Queue wait time", "Time from entering the queue to the start of "
                      "processing.", "work_queue_wait_seconds", ("queue",), "{{queue}}"),
            durations("Processing time", "Time from the start of processing to its end.", "work_queue_run_seconds", ("queue",),
                      "{{queue}}"),
            graph("Rejected and failed items", "Items per second that the queue rejected, that missed their deadline, or that "
                  "failed.", "cps",
                  Query(total(rate("work_queue_rejected_total"), "queue"), "{{queue}} rejected"),
                  Query(total(rate("work_queue_deadline_exceeded_total"), "queue"), "{{queue}} too late"),
                  Query(total(rate("work_queue_failures_total"), "queue"), "{{queue}} failed")),
            graph("Consumer lag", "Messages in the broker that the consumer has not received yet.", "short",
                  Query(total(gauge("consumer_lag_messages"), "queue"), "{{queue}}")),
        ],
    )


def limits() -> Row:
    """Rate limiters, circuit breakers and locks."""
    return Row(
        "Rate limiters, circuit breakers and locks",
        [
            graph("Limiters", "Requests per second to a limiter, by result.", "cps",
                  Query(total(rate("rate_limiter_requests_total"), "limiter", "result"), "{{limiter}} {{result}}"), stacked=True),
            graph("Permits", "Permits that a limiter has available.", "short",
                  Query(total(gauge("rate_limiter_permits"), "limiter"), "{{limiter}}")),
            durations("Permit wait time", "Time that requests waited for a permit.", "rate_limiter_wait_seconds", ("limiter",),
                      "{{limiter}}"),
            graph("Open circuit breakers", "Instances whose circuit breaker is open or half-open.", "short",
                  Query(total(gauge("circuit_breaker_state", 'state!="closed"'), "breaker", "state"), "{{breaker}} {{state}}")),
            graph("Calls through circuit breakers", "Calls per second by result; a rejected call was not made.", "cps",
                  Query(total(rate("circuit_breaker_calls_total"), "breaker", "result"), "{{breaker}} {{result}}"), stacked=True),
            graph("Lock wait time", "Seconds per second that threads waited for a lock; 1 is one thread that always waits.", "short",
                  Query(total(rate("lock_wait_seconds_total"), "lock"), "{{lock}}")),
            graph("Lock contention", "Acquisitions per second that had to wait for a lock.", "cps",
                  Query(total(rate("lock_contentions_total"), "lock"), "{{lock}}")),
        ],
    )


def fan_out_and_drain() -> Row:
    """Fan-out, drain and log messages."""
    messages = total(rate("fanout_messages_total"), "fanout", "result")
    return Row(
        "Fan-out, drain and log",
        [
            graph("Subscribers", "Current subscribers of a fan-out, over the selected instances.", "short",
                  Query(total(gauge("fanout_subscribers"), "fanout"), "{{fanout}}")),
            graph("Messages", "Messages per second offered to subscribers, by result.", "cps",
                  Query(messages, "{{fanout}} {{result}}"), stacked=True),
            graph("Ended subscriptions", "Subscriptions per second that ended, by reason.", "cps",
                  Query(total(rate("fanout_subscriptions_ended_total"), "fanout", "reason"), "{{fanout}} {{reason}}")),
            graph("Drain time", "Time since an instance began to shut down.", "s",
                  Query(total(gauge("service_drain_seconds"), "job", "instance"), "{{job}} {{instance}}"), to=(PAGE,)),
            graph("Remaining work", "Work that an instance has to finish before it exits, and work that it abandoned.", "short",
                  Query(total(gauge("service_drain_remaining"), "instance", "what"), "{{instance}} {{what}}"),
                  Query(total(increase("service_drain_abandoned_total"), "instance", "what"), "{{instance}} {{what}} abandoned")),
            graph("Log messages", "Log messages per second, by level.", "cps",
                  Query(total(rate("log_messages_total"), "level"), "{{level}}"), stacked=True),
        ],
    )


def instruments() -> list[Row]:
    """All rows of the instruments."""
    return [pools(), caches(), queues(), limits(), fan_out_and_drain()]
