# SPDX-License-Identifier: Apache-2.0
"""What stands behind the routes: pools, caches, queues, limiters, locks, fan-out and drain."""

from boards.board import Row
from boards.kit import PAGE, Bound, Query, graph
from boards.promql import Histogram, gauge, increase, rate, share, total

POOL = "db_client_connection_pool_name"
OF_POOL = f"{{{{{POOL}}}}}"
CACHE = ("cache", "level")
OF_CACHE = "{{cache}} {{level}}"
FULL = (
    Bound(0.9, "yellow", "bursts will find none left"),
    Bound(1, "red", "who comes now waits or is refused"),
)


def p99(title: str, description: str, name: str, by: tuple[str, ...], legend: str) -> object:
    """How long something took, by what it belongs to."""
    histogram = Histogram(name)
    return graph(title, description, "s", Query(histogram.quantile(0.5, *by), f"{legend} p50"),
                 Query(histogram.quantile(0.99, *by), f"{legend} p99"))


def pools() -> Row:
    """Connections to databases, and who waits for one."""
    used = total(gauge("db_client_connection_count", 'state="used"'), POOL)
    most = total(gauge("db_client_connection_max"), POOL)
    return Row(
        "Connection pools",
        [
            graph("Connections in use", "Share of the connections of a pool that are in use, over the instances chosen.", "percentunit",
                  Query(f"{used} / {most}", OF_POOL), bounds=FULL),
            graph("Connections", "Connections of a pool by state, and the most that it may have.", "short",
                  Query(total(gauge("db_client_connection_count"), POOL, "state"), f"{OF_POOL} {{{{state}}}}"),
                  Query(most, f"{OF_POOL} limit")),
            graph("Waiting for a connection", "Requests that wait for a connection now. More than none for long: the pool is too "
                  "small, or somebody keeps connections.", "short",
                  Query(total(gauge("db_client_connection_pending_requests"), POOL), OF_POOL),
                  bounds=(Bound(1, "yellow", "requests stand still"),)),
            p99("Wait for a connection", "From the wish for a connection to having it.", "db_client_connection_wait_time_seconds",
                (POOL,), OF_POOL),
            p99("Use of a connection", "From having a connection to giving it back.", "db_client_connection_use_time_seconds",
                (POOL,), OF_POOL),
            p99("Making of a connection", "How long it took to open one.", "db_client_connection_create_time_seconds",
                (POOL,), OF_POOL),
            graph("Waits given up", "Requests for a connection a second that ended without one, by result.", "cps",
                  Query(total(rate("db_client_connection_requests_total", 'result!="success"'), POOL, "result"),
                        f"{OF_POOL} {{{{result}}}}")),
            graph("Connections not made", "Attempts a second to open a connection that failed.", "cps",
                  Query(total(rate("db_client_connection_create_failures_total"), POOL), OF_POOL)),
            graph("Objects reused", "Share of the objects of a pool that were used before; the rest was made anew.", "percentunit",
                  Query(share(total(rate("object_pool_gets_total", 'result="reused"'), "pool"),
                              total(rate("object_pool_gets_total"), "pool")), "{{pool}}"), most=1),
        ],
    )


def caches() -> Row:
    """Levels of caches."""
    requests = rate("cache_requests_total")
    hits = total(rate("cache_requests_total", 'result=~"hit|negative"'), *CACHE)
    return Row(
        "Caches",
        [
            graph("Hits", "Share of the look-ups that a cache could answer, what is known not to exist included.", "percentunit",
                  Query(share(hits, total(requests, *CACHE)), OF_CACHE), most=1),
            graph("Look-ups", "Look-ups a second by result.", "cps",
                  Query(total(requests, *CACHE, "result"), f"{OF_CACHE} {{{{result}}}}")),
            graph("Evictions", "Entries that left a cache a second, by cause. size: it is too small; expired: they live too short.",
                  "cps", Query(total(rate("cache_evictions_total"), *CACHE, "cause"), f"{OF_CACHE} {{{{cause}}}}")),
            p99("Loads", "How long it took to load what was missing.", "cache_load_duration_seconds", CACHE, OF_CACHE),
            graph("Loads by result", "Loads of what was missing a second. failure: what the cache loads from does not answer.", "cps",
                  Query(total(rate("cache_loads_total"), *CACHE, "result"), f"{OF_CACHE} {{{{result}}}}"), stacked=True),
            graph("Failed look-ups", "Look-ups a second that the cache did not answer, such as a remote one that is down.", "cps",
                  Query(total(rate("cache_lookup_failures_total"), *CACHE), OF_CACHE)),
            graph("Entries", "Entries of a cache now, over the instances chosen.", "short",
                  Query(total(gauge("cache_entries"), *CACHE), OF_CACHE)),
        ],
    )


def queues() -> Row:
    """Work that waits, and who does it."""
    depth = total(gauge("work_queue_depth"), "queue")
    return Row(
        "Queues and workers",
        [
            graph("Queues", "Share of a queue's capacity that is taken.", "percentunit",
                  Query(f"{depth} / {total(gauge('work_queue_capacity'), 'queue')}", "{{queue}}"), bounds=FULL),
            graph("Work", "Work that waits and work that is being done.", "short",
                  Query(depth, "{{queue}} waits"), Query(total(gauge("work_queue_active"), "queue"), "{{queue}} is done")),
            p99("Wait in a queue", "From coming to being begun.", "work_queue_wait_seconds", ("queue",), "{{queue}}"),
            p99("Work done", "From being begun to the end.", "work_queue_run_seconds", ("queue",), "{{queue}}"),
            graph("Work refused", "Work a second that a queue did not take, that waited beyond its deadline, or that failed.", "cps",
                  Query(total(rate("work_queue_rejected_total"), "queue"), "{{queue}} refused"),
                  Query(total(rate("work_queue_deadline_exceeded_total"), "queue"), "{{queue}} too late"),
                  Query(total(rate("work_queue_failures_total"), "queue"), "{{queue}} failed")),
            graph("Lag of consumers", "Messages that are in the broker and not with the consumer yet.", "short",
                  Query(total(gauge("consumer_lag_messages"), "queue"), "{{queue}}")),
        ],
    )


def limits() -> Row:
    """Limiters, breakers and locks."""
    return Row(
        "Limits, breakers and locks",
        [
            graph("Limiters", "Requests a second that a limiter let pass or refused.", "cps",
                  Query(total(rate("rate_limiter_requests_total"), "limiter", "result"), "{{limiter}} {{result}}"), stacked=True),
            graph("Permits", "Permits that a limiter has left.", "short",
                  Query(total(gauge("rate_limiter_permits"), "limiter"), "{{limiter}}")),
            p99("Wait for a permit", "How long a limiter made requests wait.", "rate_limiter_wait_seconds", ("limiter",), "{{limiter}}"),
            graph("Breakers that are not closed", "Instances whose breaker is open, or tries whether it may close.", "short",
                  Query(total(gauge("circuit_breaker_state", 'state!="closed"'), "breaker", "state"), "{{breaker}} {{state}}")),
            graph("Calls through breakers", "Calls a second by result; a rejected one was not made.", "cps",
                  Query(total(rate("circuit_breaker_calls_total"), "breaker", "result"), "{{breaker}} {{result}}"), stacked=True),
            graph("Locks", "Seconds a second that threads waited for a lock: 1 is one thread that does nothing else.", "short",
                  Query(total(rate("lock_wait_seconds_total"), "lock"), "{{lock}}")),
            graph("Contentions", "Times a second that a lock was not free.", "cps",
                  Query(total(rate("lock_contentions_total"), "lock"), "{{lock}}")),
        ],
    )


def others() -> Row:
    """Fan-out, drain and what is logged."""
    messages = total(rate("fanout_messages_total"), "fanout", "result")
    return Row(
        "Fan-out, drain and log",
        [
            graph("Subscribers", "Who listens to a fan-out now, over the instances chosen.", "short",
                  Query(total(gauge("fanout_subscribers"), "fanout"), "{{fanout}}")),
            graph("Messages", "Messages a second offered to subscribers, by what became of them.", "cps",
                  Query(messages, "{{fanout}} {{result}}"), stacked=True),
            graph("Subscriptions ended", "Subscriptions a second that ended, by reason.", "cps",
                  Query(total(rate("fanout_subscriptions_ended_total"), "fanout", "reason"), "{{fanout}} {{reason}}")),
            graph("Drain", "How long an instance has been draining or has drained.", "s",
                  Query(total(gauge("service_drain_seconds"), "job", "instance"), "{{job}} {{instance}}"), to=(PAGE,)),
            graph("Left to drain", "What an instance still has to finish before it may end, and what it gave up.", "short",
                  Query(total(gauge("service_drain_remaining"), "instance", "what"), "{{instance}} {{what}}"),
                  Query(total(increase("service_drain_abandoned_total"), "instance", "what"), "{{instance}} {{what}} given up")),
            graph("Log", "Messages logged a second, by level.", "cps",
                  Query(total(rate("log_messages_total"), "level"), "{{level}}"), stacked=True),
        ],
    )


def behind() -> list[Row]:
    """All of it."""
    return [pools(), caches(), queues(), limits(), others()]
