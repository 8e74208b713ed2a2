# SPDX-License-Identifier: Apache-2.0
"""The storefront under a flash sale: what its metrics say is what happened."""

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
    """Look-ups of a level, by result."""
    return {
        result: metrics.sum("cache_requests_total", level=level, result=result)
        for result in ("hit", "miss", "negative")
    }


def assert_adds_up(metrics: Metrics) -> None:
    """What must hold whenever nothing is on its way."""
    # Every order that was asked for was looked up once.
    gets = metrics.requests(method="GET", http_route="/orders/{id}")
    first, second = cache(metrics, "1"), cache(metrics, "2")
    assert sum(first.values()) == gets
    # What level 1 missed was looked up at level 2, unless no worker came to it, or the look-up was cancelled.
    turned_away = metrics.sum("work_queue_rejected_total", queue="orders")
    cancelled = metrics.requests(method="GET", error_type="client_disconnect") + metrics.requests(method="GET", status="504")
    assert second["hit"] + second["miss"] <= first["miss"] <= sum(second.values()) + turned_away + cancelled
    assert metrics.sum("cache_load_duration_seconds_count", level="2") <= second["miss"]
    # Refusals are answers.
    limits = "rate_limiter_requests_total"
    assert metrics.requests(status="429") == metrics.sum(limits, result="limited")
    assert metrics.requests(status="504") == metrics.sum("work_queue_deadline_exceeded_total")
    posts = metrics.requests(method="POST", http_route="/orders")
    assert posts == metrics.sum(limits)
    # An order that was answered was written; some were written after their deadline.
    created = metrics.requests(status="201")
    placed = metrics.sum("storefront_orders_total")
    gone = metrics.requests(method="POST", error_type="client_disconnect")
    assert created <= placed <= created + metrics.requests(status="504") + gone
    assert metrics.sum("storefront_batch_orders_sum") >= placed
    # Nothing is left behind.
    assert metrics.sum("db_client_connection_count", state="used") == 0
    assert metrics.sum("db_client_connection_pending_requests") == 0
    assert metrics.sum("http_server_active_requests") == 0
    assert metrics.sum("http_server_aborted_requests_total") == 0


def calls_lost(metrics: Metrics) -> float:
    """Calls of Redis that had no answer in time, or were not made since it was taken for ill."""
    return sum(metrics.sum("circuit_breaker_calls_total", result=result) for result in ("failure", "rejected"))


def test_alone_it_is_a_whole_shop(tmp_path: Path) -> None:
    with Storefront(tmp_path / "log", RATE_LIMIT="5") as shop:
        assert shop.in_time("/orders/7")[1]["item"] == "record"
        assert shop.in_time("/orders/7")[0] == 200
        assert shop.in_time("/orders/999999")[0] == 404
        assert shop.in_time("/orders/999999")[0] == 404
        assert shop.ask("/orders/nonsense")[0] == 400
        assert shop.ask("/orders?item=boat", "POST")[0] == 400
        # Whose orders all come too late is limited as well, for a moment.
        status, order = shop.in_time("/orders?item=ticket&customer=c1&quantity=2", "POST", late=(504, 429))
        assert (status, order["quantity"], order["status"]) == (201, 2, "placed")
        assert shop.in_time(f"/orders/{order['id']}")[1] == order
        # So that nothing that was loaded before comes to the cache after it.
        shop.settled()
        status, cancelled = shop.in_time(f"/orders/{order['id']}", "DELETE")
        # What is too late is done all the same, and is not done twice.
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


def test_each_order_that_is_asked_for_is_looked_up_once(tmp_path: Path) -> None:
    with Storefront(tmp_path / "log") as shop:
        for path, result in (("/orders/7", "hit"), ("/orders/999999", "negative")):
            before = cache(shop.settled(), "1")
            assert before[result] == 0
            # The first time it is loaded; soon after that it is known, but for what a busy machine forgets meanwhile.
            count = 0

            def is_known() -> bool | None:
                nonlocal count
                count += 1
                shop.ask(path)
                return cache(shop.metrics(), "1")[result] == 1 or None

            poll(f"{path} is a {result}", is_known, LIMIT)
            assert count >= 2
            known = cache(shop.settled(), "1")
            # Each of the others was a miss.
            assert known == before | {result: 1, "miss": before["miss"] + count - 1}


def test_a_customer_who_orders_too_much_is_limited(tmp_path: Path) -> None:
    with Storefront(tmp_path / "log", RATE_LIMIT="5") as shop:
        def order(_: int = 0) -> int:
            return shop.ask("/orders?customer=c2", "POST")[0]

        assert 429 not in [order() for _ in range(5)]

        def is_limited() -> bool | None:
            # More at once than one may in a second, until a second has room for them.
            return 429 in pool.map(order, range(16)) or None

        with ThreadPoolExecutor(16) as pool:
            poll("a customer is limited", is_limited, LIMIT)
        # The limit is the customer's own.
        assert shop.in_time("/orders?customer=c3", "POST", late=(504, 429))[0] == 201


def test_it_ends_by_itself(tmp_path: Path) -> None:
    with Storefront(tmp_path / "log", SECONDS_TO_RUN="1") as shop:
        assert shop.wait(LIMIT) == 0


@pytest.mark.parametrize(
    "variable", [{"REDIS_URL": "http://nowhere"}, {"STOREFRONT_FAULT": "rain"}, {"RATE_LIMIT": "0"}]
)
def test_a_setting_that_means_nothing_is_refused(tmp_path: Path, variable: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="what is"):
        Storefront(tmp_path / "log", **variable)


def test_under_load_everything_adds_up(tmp_path: Path, redis: Redis) -> None:
    customers, limit = 4, 5
    with ExitStack() as stack:
        expired = stack.enter_context(ExpiredKeys(redis))
        shop = stack.enter_context(Storefront(tmp_path / "log", REDIS_URL=redis.url, RATE_LIMIT=str(limit)))
        begin = time.monotonic()
        reading = stack.enter_context(Wrk(shop.service, orders(last=2_500), tmp_path))
        buying = stack.enter_context(Wrk(shop.service, new_orders(customers), tmp_path, connections=8))

        def has_seen_it_all() -> bool | None:
            now = shop.metrics()
            facts = [
                now.requests() >= 10_000, now.requests(status="201") >= limit * customers, now.requests(status="429") >= 100,
                # Redis was asked.
                sum(cache(now, "2").values()) > 100,
                now.sum("db_client_connection_count", db_client_connection_pool_name="redis") > 0,
            ]
            return all(facts) or None

        poll("much was asked for, ordered and limited", has_seen_it_all, LIMIT)
        answered = reading.stop() + buying.stop()
        metrics = shop.settled(assert_adds_up)
        # wrk leaves what is on its way when its time is up.
        assert answered <= metrics.requests() <= answered + 40
        # Each customer may place so many orders in any second.
        allowed = metrics.sum("rate_limiter_requests_total", result="allowed")
        assert limit * customers <= allowed <= limit * customers * math.ceil(time.monotonic() - begin + 1)
        # Also where a deadline came while the stock was locked; but for calls that were lost, and locks that ran out before.
        lost = metrics.sum("storefront_stock_locks_total", result="lost")
        assert lost <= calls_lost(metrics) + len(expired.names("lock:"))


def test_an_order_changed_by_one_instance_is_forgotten_by_all(tmp_path: Path, redis: Redis) -> None:
    database = str(tmp_path / "orders.sqlite")
    settings = {"REDIS_URL": redis.url, "STOREFRONT_DATABASE": database}
    with Storefront(tmp_path / "one", **settings) as one, Storefront(tmp_path / "two", **settings) as two:
        for shop in (one, two):
            gauge = "storefront_invalidations_connected"
            poll("it listens", lambda shop=shop: shop.metrics().sum(gauge) == 1 or None, LIMIT)  # type: ignore[misc]

        def invalidated() -> float:
            return two.metrics().sum("cache_evictions_total", cause="invalidated")

        for number in range(5, 1_000):
            path = f"/orders/{number}"
            for shop in (one, two):
                assert shop.in_time(path)[1]["status"] == "placed"
                shop.settled()
            before, lost = invalidated(), calls_lost(one.metrics())
            assert one.in_time(path, "DELETE")[0] in (200, 404)
            # The news go by Redis once, so another order is taken where that was too busy to pass them on.
            if calls_lost(one.settled()) == lost:
                break
        poll("the other one knows", lambda: invalidated() == before + 1 or None, LIMIT)
        assert two.in_time(path)[1]["status"] == "cancelled"


def test_a_deadline_while_the_stock_is_locked_gives_the_lock_back(tmp_path: Path, redis: Redis) -> None:
    database = tmp_path / "orders.sqlite"
    with ExpiredKeys(redis) as expired, Storefront(
        tmp_path / "log", REDIS_URL=redis.url, STOREFRONT_DATABASE=str(database)
    ) as shop:
        assert shop.in_time("/orders", "POST", late=(503, 504))[0] == 201
        # Somebody else writes for longer than an order may take.
        other = sqlite3.connect(database, isolation_level=None, timeout=LIMIT)
        other.execute("BEGIN IMMEDIATE")

        def is_locked() -> bool | None:
            # By itself the lock runs out after two seconds, unless it is made to last.
            return shop.ask("/orders", "POST")[0] == 504 and redis.command("PERSIST", "lock:book") == b":1" or None

        poll("an order's deadline comes while the stock is locked", is_locked, LIMIT)
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


def test_a_lock_is_given_back_by_its_owner_only(tmp_path: Path, redis: Redis) -> None:
    with Storefront(tmp_path / "log", REDIS_URL=redis.url) as shop:
        assert shop.in_time("/orders", "POST", late=(503, 504))[0] == 201
        shop.settled()
        redis.command("SET", "lock:book", "somebody else")
        # Not in twenty attempts of a millisecond, or not within the deadline.
        assert shop.ask("/orders", "POST")[0] in (503, 504)
        assert shop.in_time("/orders?item=ticket", "POST", late=(503, 504))[0] == 201
        shop.settled()
        assert redis.command("GET", "lock:book") == b"$13"
        redis.command("DEL", "lock:book")
        assert shop.in_time("/orders", "POST", late=(503, 504))[0] == 201


def test_deadlines_are_answers(tmp_path: Path) -> None:
    with ExitStack() as stack:
        shop = stack.enter_context(Storefront(tmp_path / "log", STOREFRONT_FAULT="dry-pool"))
        asking = stack.enter_context(Wrk(shop.service, orders(first=1, last=100_000), tmp_path))
        poll("some are late", lambda: shop.metrics().requests(status="504") > 50 or None, LIMIT)
        answered = asking.stop()
        metrics = shop.settled(assert_adds_up)
        assert metrics.requests() >= answered
        # Who gave up waiting in the queue never had a worker.
        assert metrics.sum("work_queue_rejected_total", queue="orders") <= metrics.requests(status="504")
        assert metrics.sum("db_client_connection_max", db_client_connection_pool_name="orders-db") == 4


def test_it_sells_on_without_redis_and_with_it_again(tmp_path: Path, redis: Redis) -> None:
    with ExitStack() as stack:
        shop = stack.enter_context(Storefront(tmp_path / "log", REDIS_URL=redis.url))
        reading = stack.enter_context(Wrk(shop.service, orders(), tmp_path, connections=16))
        poll("the sale has begun", lambda: shop.metrics().requests() > 1_000 or None, LIMIT)
        redis.stop()

        def is_without() -> bool | None:
            now = shop.metrics()
            return (now.sum("circuit_breaker_state", state="open") == 1 and now.sum("storefront_invalidations_connected") == 0
                    and now.sum("circuit_breaker_calls_total", result="rejected") > 0 or None)

        poll("the breaker is open, and Redis is not listened to", is_without, LIMIT)
        # No stock without its lock; no limit without its limiter.
        assert shop.in_time("/orders?customer=c1", "POST")[0] == 503
        without = shop.metrics()
        assert without.sum("rate_limiter_requests_total", result="error") >= 1
        hits = without.sum("cache_requests_total", level="2", result="hit")

        redis.start()
        poll(
            "the breaker is closed, and changes are heard",
            lambda: (m := shop.metrics()).sum("circuit_breaker_state", state="closed") == 1
            and m.sum("storefront_invalidations_connected") == 1 or None, LIMIT,
        )
        assert shop.in_time("/orders?customer=c1", "POST", late=(503, 504))[0] == 201

        def is_found_at_level_2() -> bool | None:
            # Loaded and written back, and forgotten at level 1.
            shop.ask("/orders/7")
            redis.command("PUBLISH", "storefront:invalidated", "order:7")
            return shop.metrics().sum("cache_requests_total", level="2", result="hit") > hits or None

        poll("level 2 has hits again", is_found_at_level_2, LIMIT)
        answered = reading.stop()
        metrics = shop.settled(assert_adds_up)
        # Reading never failed, but for what had no answer in time.
        gets = {"method": "GET", "http_route": "/orders/{id}"}
        answers = ({"status": "200"}, {"status": "504"}, {"error_type": "client_disconnect"})
        good = sum(metrics.requests(**gets, **labels) for labels in answers)
        assert good == metrics.requests(**gets) >= answered


def test_a_shutdown_under_load_loses_no_request_and_no_order(tmp_path: Path, redis: Redis) -> None:
    database = tmp_path / "orders.sqlite"
    # Long enough for the customers to hear of it, and for a scrape, also on a machine that is busy.
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
        # wrk asks on until nobody answers, whatever /readyz says.
        poll("it has drained", lambda: shop.metrics().sum("service_drain_seconds") > drain + 0.1 or None, LIMIT)
        reading.stop()
        last = shop.metrics()

        def has_ended() -> bool | None:
            nonlocal last
            with suppress(OSError, http.client.HTTPException):
                last = shop.metrics()
            return shop.popen.poll() is not None or None

        poll("it has ended", has_ended, LIMIT)
        assert_adds_up(last)
        assert last.sum("service_drain_remaining") == 0
        assert last.sum("service_drain_abandoned_total") == 0
        assert last.sum("work_queue_depth") + last.sum("work_queue_active") == 0
        assert shop.wait(LIMIT) == 0

    written = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    stored = {row[0] for row in written.execute("SELECT id FROM orders WHERE id > 2000")}
    assert set(customers.placed) <= stored
    assert len(stored) == last.sum("storefront_orders_total")
