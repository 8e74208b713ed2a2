# SPDX-License-Identifier: Apache-2.0
"""The storefront under a flash sale: its metrics match the actual events."""

import http.client
import math
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from harness import fetch, poll
from live_metrics import Metrics
from storefront_lab import LIMIT, Customers, ExpiredKeys, Redis, Storefront, Wrk, is_ready, new_orders, orders

pytestmark = pytest.mark.wait


@pytest.fixture(name="redis")
def fixture_redis(tmp_path: Path) -> Iterator[Redis]:
    with Redis(tmp_path) as redis:
        yield redis


def cache(metrics: Metrics, level: str) -> dict[str, float]:
    """Lookups at a cache level, by result."""
    return {
        result: metrics.sum("cache_requests_total", level=level, result=result)
        for result in ("hit", "miss", "negative")
    }


def assert_consistent(metrics: Metrics) -> None:
    """Invariants of the metrics while no request is in flight."""
    # Every request for an order is one lookup.
    gets = metrics.requests(method="GET", http_route="/orders/{id}")
    first, second = cache(metrics, "1"), cache(metrics, "2")
    assert sum(first.values()) == gets
    # Each miss of level 1 is a lookup at level 2, unless it got no worker or was cancelled.
    rejected = metrics.sum("work_queue_rejected_total", queue="orders")
    cancelled = metrics.requests(method="GET", error_type="client_disconnect") + metrics.requests(method="GET", status="504")
    assert second["hit"] + second["miss"] <= first["miss"] <= sum(second.values()) + rejected + cancelled
    assert metrics.sum("cache_load_duration_seconds_count", level="2") <= second["miss"]
    # Each refusal is a response.
    limits = "rate_limiter_requests_total"
    assert metrics.requests(status="429") == metrics.sum(limits, result="limited")
    assert metrics.requests(status="504") == metrics.sum("work_queue_deadline_exceeded_total")
    posts = metrics.requests(method="POST", http_route="/orders")
    assert posts == metrics.sum(limits)
    # Each order with a response was written; some were written after their deadline.
    created = metrics.requests(status="201")
    placed = metrics.sum("storefront_orders_total")
    gone = metrics.requests(method="POST", error_type="client_disconnect")
    assert created <= placed <= created + metrics.requests(status="504") + gone
    assert metrics.sum("storefront_batch_orders_sum") >= placed
    # Nothing is left in use.
    assert metrics.sum("db_client_connection_count", state="used") == 0
    assert metrics.sum("db_client_connection_pending_requests") == 0
    assert metrics.sum("http_server_active_requests") == 0
    assert metrics.sum("http_server_aborted_requests_total") == 0


def calls_lost(metrics: Metrics) -> float:
    """Calls to Redis that failed or timed out, or were rejected by the open circuit breaker."""
    return sum(metrics.sum("circuit_breaker_calls_total", result=result) for result in ("failure", "rejected"))


def test_it_works_without_redis(tmp_path: Path) -> None:
    with Storefront(tmp_path / "log", RATE_LIMIT="5") as shop:
        assert shop.in_time("/orders/7")[1]["item"] == "record"
        assert shop.in_time("/orders/7")[0] == 200
        assert shop.in_time("/orders/999999")[0] == 404
        assert shop.in_time("/orders/999999")[0] == 404
        assert shop.request("/orders/nonsense")[0] == 400
        assert shop.request("/orders?item=boat", "POST")[0] == 400
        # A customer whose orders all time out is rate-limited too, for a moment.
        status, order = shop.in_time("/orders?item=ticket&customer=c1&quantity=2", "POST", late=(504, 429))
        assert (status, order["quantity"], order["status"]) == (201, 2, "placed")
        assert shop.in_time(f"/orders/{order['id']}")[1] == order
        # Otherwise an earlier load could reach the cache after the deletion.
        shop.settled()
        status, cancelled = shop.in_time(f"/orders/{order['id']}", "DELETE")
        # A request that times out is still executed, and a repetition changes nothing.
        assert status == 200 or status == 404 and shop.metrics().requests(method="DELETE", status="504") > 0
        assert cancelled.get("status", "cancelled") == "cancelled"
        assert shop.in_time(f"/orders/{order['id']}")[1]["status"] == "cancelled"
        assert shop.in_time(f"/orders/{order['id']}", "DELETE")[0] == 404
        assert fetch(f"{shop.service}/healthz") == b"ok\n"
        assert fetch(f"{shop.service}/readyz") == b"ready\n"

        metrics = shop.settled()
        assert metrics.sum("cache_evictions_total", cause="invalidated") >= 1
        assert metrics.requests(http_route="/healthz") == 0
        shop.popen.send_signal(signal.SIGTERM)
        assert shop.wait(LIMIT) == 0
        assert "stopped" in shop.output


def test_each_request_for_an_order_is_one_lookup(tmp_path: Path) -> None:
    with Storefront(tmp_path / "log") as shop:
        for path, result in (("/orders/7", "hit"), ("/orders/999999", "negative")):
            before = cache(shop.settled(), "1")
            assert before[result] == 0
            # The first request loads it; soon after it is cached, unless a busy machine delays
            # that.
            count = 0

            def is_cached() -> bool | None:
                nonlocal count
                count += 1
                shop.request(path)
                return cache(shop.metrics(), "1")[result] == 1 or None

            poll(f"{path} is a {result}", is_cached, LIMIT)
            assert count >= 2
            known = cache(shop.settled(), "1")
            # Each of the other requests was a miss.
            assert known == before | {result: 1, "miss": before["miss"] + count - 1}


def test_a_customer_with_too_many_orders_is_rate_limited(tmp_path: Path) -> None:
    with Storefront(tmp_path / "log", RATE_LIMIT="5") as shop:
        def order(_: int = 0) -> int:
            return shop.request("/orders?customer=c2", "POST")[0]

        assert 429 not in [order() for _ in range(5)]

        def is_limited() -> bool | None:
            # More orders at once than allowed per second, repeated until they fall within one
            # second.
            return 429 in pool.map(order, range(16)) or None

        with ThreadPoolExecutor(16) as pool:
            poll("a customer is limited", is_limited, LIMIT)
        # The limit applies to each customer separately.
        assert shop.in_time("/orders?customer=c3", "POST", late=(504, 429))[0] == 201


def test_it_ends_after_seconds_to_run(tmp_path: Path) -> None:
    with Storefront(tmp_path / "log", SECONDS_TO_RUN="1") as shop:
        assert shop.wait(LIMIT) == 0


@pytest.mark.parametrize(
    "variable", [{"REDIS_URL": "http://nowhere"}, {"STOREFRONT_FAULT": "rain"}, {"RATE_LIMIT": "0"}]
)
def test_an_invalid_setting_is_rejected(tmp_path: Path, variable: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="invalid value"):
        Storefront(tmp_path / "log", **variable)


def test_metrics_are_consistent_under_load(tmp_path: Path, redis: Redis) -> None:
    customers, limit = 4, 5
    with ExitStack() as stack:
        expired = stack.enter_context(ExpiredKeys(redis))
        shop = stack.enter_context(Storefront(tmp_path / "log", REDIS_URL=redis.url, RATE_LIMIT=str(limit)))
        begin = time.monotonic()
        reading = stack.enter_context(Wrk(shop.service, orders(last=2_500), tmp_path))
        buying = stack.enter_context(Wrk(shop.service, new_orders(customers), tmp_path, connections=8))

        def had_every_kind_of_request() -> bool | None:
            now = shop.metrics()
            facts = [
                now.requests() >= 10_000, now.requests(status="201") >= limit * customers, now.requests(status="429") >= 100,
                # Redis was used.
                sum(cache(now, "2").values()) > 100,
                now.sum("db_client_connection_count", db_client_connection_pool_name="redis") > 0,
            ]
            return all(facts) or None

        poll("orders were read, placed and limited", had_every_kind_of_request, LIMIT)
        answered = reading.stop() + buying.stop()
        metrics = shop.settled(assert_consistent)
        # wrk abandons requests in flight when it stops.
        assert answered <= metrics.requests() <= answered + 40
        # The number of orders that each customer may place per second.
        allowed = metrics.sum("rate_limiter_requests_total", result="allowed")
        assert limit * customers <= allowed <= limit * customers * math.ceil(time.monotonic() - begin + 1)
        # This also holds if a deadline passes while the stock is locked; except for failed calls
        # and expired locks.
        lost = metrics.sum("storefront_stock_locks_total", result="lost")
        assert lost <= calls_lost(metrics) + len(expired.names("lock:"))


def test_an_order_changed_by_one_instance_is_invalidated_in_all(tmp_path: Path, redis: Redis) -> None:
    database = str(tmp_path / "orders.sqlite")
    settings = {"REDIS_URL": redis.url, "STOREFRONT_DATABASE": database}
    with Storefront(tmp_path / "one", **settings) as one, Storefront(tmp_path / "two", **settings) as two:
        for shop in (one, two):
            gauge = "storefront_invalidations_connected"
            poll("the instance receives invalidations", lambda shop=shop: shop.metrics().sum(gauge) == 1 or None, LIMIT)  # type: ignore[misc]

        def invalidated() -> float:
            return two.metrics().sum("cache_evictions_total", cause="invalidated")

        for number in range(5, 1_000):
            path = f"/orders/{number}"
            for shop in (one, two):
                assert shop.in_time(path)[1]["status"] == "placed"
                shop.settled()
            before, lost = invalidated(), calls_lost(one.metrics())
            assert one.in_time(path, "DELETE")[0] in (200, 404)
            # The invalidation is published only once, so another order is tried if Redis was too
            # busy to deliver it.
            if calls_lost(one.settled()) == lost:
                break
        poll("the other instance has invalidated the order", lambda: invalidated() == before + 1 or None, LIMIT)
        assert two.in_time(path)[1]["status"] == "cancelled"


def test_a_deadline_while_the_stock_is_locked_releases_the_lock(tmp_path: Path, redis: Redis) -> None:
    database = tmp_path / "orders.sqlite"
    with ExpiredKeys(redis) as expired, Storefront(
        tmp_path / "log", REDIS_URL=redis.url, STOREFRONT_DATABASE=str(database)
    ) as shop:
        assert shop.in_time("/orders", "POST", late=(503, 504))[0] == 201
        # Another connection writes for longer than an order's deadline.
        other = sqlite3.connect(database, isolation_level=None, timeout=LIMIT)
        other.execute("BEGIN IMMEDIATE")

        def is_locked() -> bool | None:
            # The lock expires after two seconds by itself, unless it is made persistent.
            return shop.request("/orders", "POST")[0] == 504 and redis.command("PERSIST", "lock:book") == b":1" or None

        poll("an order times out while the stock is locked", is_locked, LIMIT)
        other.execute("ROLLBACK")
        poll("the lock is free", lambda: redis.command("EXISTS", "lock:book") == b":0" or None, LIMIT)
        assert shop.in_time("/orders", "POST", late=(503, 504))[0] == 201

        def check(metrics: Metrics) -> None:
            assert metrics.requests(status="504") == metrics.sum("work_queue_deadline_exceeded_total", queue="orders") >= 1
            sold = 1_000_000 - other.execute("SELECT count FROM stock WHERE item = 'book'").fetchone()[0]
            assert sold == metrics.sum("storefront_orders_total")

        metrics = shop.settled(check)
        lost = metrics.sum("storefront_stock_locks_total", result="lost")
        assert lost <= calls_lost(metrics) + len(expired.names("lock:"))


def test_a_lock_is_released_by_its_owner_only(tmp_path: Path, redis: Redis) -> None:
    with Storefront(tmp_path / "log", REDIS_URL=redis.url) as shop:
        assert shop.in_time("/orders", "POST", late=(503, 504))[0] == 201
        shop.settled()
        redis.command("SET", "lock:book", "somebody else")
        # After twenty attempts of a millisecond, or at the deadline.
        assert shop.request("/orders", "POST")[0] in (503, 504)
        assert shop.in_time("/orders?item=ticket", "POST", late=(503, 504))[0] == 201
        shop.settled()
        assert redis.command("GET", "lock:book") == b"$13"
        redis.command("DEL", "lock:book")
        assert shop.in_time("/orders", "POST", late=(503, 504))[0] == 201


def test_missed_deadlines_are_counted_as_responses(tmp_path: Path) -> None:
    with ExitStack() as stack:
        shop = stack.enter_context(Storefront(tmp_path / "log", STOREFRONT_FAULT="dry-pool"))
        asking = stack.enter_context(Wrk(shop.service, orders(first=1, last=100_000), tmp_path))
        poll("some requests time out", lambda: shop.metrics().requests(status="504") > 50 or None, LIMIT)
        answered = asking.stop()
        metrics = shop.settled(assert_consistent)
        assert metrics.requests() >= answered
        # Requests that timed out in the queue never got a worker.
        assert metrics.sum("work_queue_rejected_total", queue="orders") <= metrics.requests(status="504")
        assert metrics.sum("db_client_connection_max", db_client_connection_pool_name="orders-db") == 4


def test_it_keeps_serving_while_redis_is_down_and_recovers(tmp_path: Path, redis: Redis) -> None:
    with ExitStack() as stack:
        shop = stack.enter_context(Storefront(tmp_path / "log", REDIS_URL=redis.url))
        reading = stack.enter_context(Wrk(shop.service, orders(), tmp_path, connections=16))
        poll("the sale has begun", lambda: shop.metrics().requests() > 1_000 or None, LIMIT)
        redis.stop()

        def is_without() -> bool | None:
            now = shop.metrics()
            return (now.sum("circuit_breaker_state", state="open") == 1 and now.sum("storefront_invalidations_connected") == 0
                    and now.sum("circuit_breaker_calls_total", result="rejected") > 0 or None)

        poll("the breaker is open, and no invalidations are received", is_without, LIMIT)
        # Without Redis there is no lock for the stock, and no rate limiter.
        assert shop.in_time("/orders?customer=c1", "POST")[0] == 503
        without = shop.metrics()
        assert without.sum("rate_limiter_requests_total", result="error") >= 1
        hits = without.sum("cache_requests_total", level="2", result="hit")

        redis.start()
        poll(
            "the breaker is closed, and invalidations are received",
            lambda: (m := shop.metrics()).sum("circuit_breaker_state", state="closed") == 1
            and m.sum("storefront_invalidations_connected") == 1 or None, LIMIT,
        )
        assert shop.in_time("/orders?customer=c1", "POST", late=(503, 504))[0] == 201

        def is_found_at_level_2() -> bool | None:
            # Loaded and written back to level 2, and dropped from level 1.
            shop.request("/orders/7")
            redis.command("PUBLISH", "storefront:invalidated", "order:7")
            return shop.metrics().sum("cache_requests_total", level="2", result="hit") > hits or None

        poll("level 2 has hits again", is_found_at_level_2, LIMIT)
        answered = reading.stop()
        metrics = shop.settled(assert_consistent)
        # Reads never failed, except for timeouts.
        gets = {"method": "GET", "http_route": "/orders/{id}"}
        responses = ({"status": "200"}, {"status": "504"}, {"error_type": "client_disconnect"})
        good = sum(metrics.requests(**gets, **labels) for labels in responses)
        assert good == metrics.requests(**gets) >= answered


def test_a_shutdown_under_load_loses_no_request_and_no_order(tmp_path: Path, redis: Redis) -> None:
    database = tmp_path / "orders.sqlite"
    # Long enough for the customers to notice, and for a scrape, also on a busy machine.
    settings = {"DRAIN_SECONDS": "5", "LAST_SCRAPE_SECONDS": "4", "RATE_LIMIT": "100000"}
    with Storefront(
        tmp_path / "log", REDIS_URL=redis.url, STOREFRONT_DATABASE=str(database), **settings
    ) as shop, Wrk(shop.service, orders(), tmp_path, connections=4) as reading:
        customers = Customers(shop.service, 8)
        poll("orders are placed", lambda: len(customers.placed) > 50 or None, LIMIT)
        shop.popen.send_signal(signal.SIGTERM)
        poll("/readyz of the agent fails", lambda: not is_ready(shop.agent) or None, LIMIT)
        customers.wait()
        assert customers.lost == []
        assert customers.placed and customers.answered > len(customers.placed)

        drain = float(settings["DRAIN_SECONDS"])
        # wrk ignores /readyz, and sends requests until the port is closed.
        poll("the service has drained", lambda: shop.metrics().sum("service_drain_seconds") > drain + 0.1 or None, LIMIT)
        reading.stop()
        last = shop.metrics()

        def has_ended() -> bool | None:
            nonlocal last
            with suppress(OSError, http.client.HTTPException):
                last = shop.metrics()
            return shop.popen.poll() is not None or None

        poll("the service has ended", has_ended, LIMIT)
        assert_consistent(last)
        assert last.sum("service_drain_remaining") == 0
        assert last.sum("service_drain_abandoned_total") == 0
        assert last.sum("work_queue_depth") + last.sum("work_queue_active") == 0
        assert shop.wait(LIMIT) == 0

    written = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    stored = {row[0] for row in written.execute("SELECT id FROM orders WHERE id > 2000")}
    assert set(customers.placed) <= stored
    assert len(stored) == last.sum("storefront_orders_total")
