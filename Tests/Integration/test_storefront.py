# SPDX-License-Identifier: Apache-2.0
"""The storefront under a flash sale: what its metrics say is what happened."""

import http.client
import signal
import sqlite3
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import fetch, poll
from live_metrics import Metrics
from storefront_lab import Redis, Storefront, Wrk, new_orders, orders

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
    # What level 1 missed was looked up at level 2, unless no worker came to it.
    turned_away = metrics.sum("work_queue_rejected_total", queue="orders")
    assert second["hit"] + second["miss"] <= first["miss"] <= sum(second.values()) + turned_away
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


def test_alone_it_is_a_whole_shop(tmp_path: Path) -> None:
    with Storefront(tmp_path / "log", RATE_LIMIT="5") as shop:
        assert shop.ask("/orders/7")[1]["item"] == "record"
        assert shop.ask("/orders/7")[0] == 200
        assert shop.ask("/orders/999999")[0] == 404
        assert shop.ask("/orders/999999")[0] == 404
        assert shop.ask("/orders/nonsense")[0] == 400
        assert shop.ask("/orders?item=boat", "POST")[0] == 400
        status, order = shop.ask("/orders?item=ticket&customer=c1&quantity=2", "POST")
        assert (status, order["quantity"], order["status"]) == (201, 2, "placed")
        assert shop.ask(f"/orders/{order['id']}")[1] == order
        assert shop.ask(f"/orders/{order['id']}", "DELETE")[1]["status"] == "cancelled"
        assert shop.ask(f"/orders/{order['id']}")[1]["status"] == "cancelled"
        assert shop.ask(f"/orders/{order['id']}", "DELETE")[0] == 404
        statuses = [shop.ask("/orders?customer=c2", "POST")[0] for _ in range(8)]
        assert statuses.count(429) >= 1 and statuses[:5] == [201] * 5
        assert fetch(f"{shop.service}/healthz") == b"ok\n"
        assert fetch(f"{shop.service}/readyz") == b"ready\n"

        metrics = shop.quiet()
        looked_up = cache(metrics, "1")
        assert looked_up["negative"] == 1 and looked_up["hit"] == 1
        assert metrics.sum("cache_evictions_total", cause="invalidated") >= 1
        assert metrics.requests(http_route="/healthz") == 0
        shop.popen.send_signal(signal.SIGTERM)
        assert shop.wait(10) == 0
        assert "stopped" in shop.output


def test_it_ends_by_itself(tmp_path: Path) -> None:
    with Storefront(tmp_path / "log", SECONDS_TO_RUN="1") as shop:
        assert shop.wait(20) == 0


@pytest.mark.parametrize(
    "variable", [{"REDIS_URL": "http://nowhere"}, {"STOREFRONT_FAULT": "rain"}, {"RATE_LIMIT": "0"}]
)
def test_a_setting_that_means_nothing_is_refused(tmp_path: Path, variable: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="what is"):
        Storefront(tmp_path / "log", **variable)


def test_under_load_everything_adds_up(tmp_path: Path, redis: Redis) -> None:
    with Storefront(tmp_path / "log", REDIS_URL=redis.url, RATE_LIMIT="20") as shop:
        reading = Wrk(shop.service, orders(last=2_500), tmp_path, 3)
        buying = Wrk(shop.service, new_orders(customers=10), tmp_path, 3, connections=8)
        answered = reading.wait() + buying.wait()
        metrics = shop.quiet()
        assert_adds_up(metrics)
        # wrk leaves what is on its way when its time is up.
        assert answered <= metrics.requests() <= answered + 40
        assert metrics.requests(status="429") > 0
        # Ten customers, twenty orders each in any second of three or four.
        allowed = metrics.sum("rate_limiter_requests_total", result="allowed")
        assert 200 <= allowed <= 10 * 20 * 6
        assert cache(metrics, "2")["hit"] + cache(metrics, "2")["miss"] > 0
        assert metrics.sum("db_client_connection_count", db_client_connection_pool_name="redis") > 0
        # Also where a deadline came while the stock was locked.
        assert metrics.sum("storefront_stock_locks_total", result="lost") == 0


def test_an_order_changed_by_one_instance_is_forgotten_by_all(tmp_path: Path, redis: Redis) -> None:
    database = str(tmp_path / "orders.sqlite")
    settings = {"REDIS_URL": redis.url, "STOREFRONT_DATABASE": database}
    with Storefront(tmp_path / "one", **settings) as one, Storefront(tmp_path / "two", **settings) as two:
        for shop in (one, two):
            gauge = "storefront_invalidations_connected"
            poll("it listens", lambda: shop.metrics().sum(gauge) == 1 or None)
            assert shop.ask("/orders/5")[1]["status"] == "placed"
        assert one.ask("/orders/5", "DELETE")[0] == 200
        poll("the other one knows", lambda: two.ask("/orders/5")[1]["status"] == "cancelled" or None, 4)
        assert two.metrics().sum("cache_evictions_total", cause="invalidated") == 1


def test_a_deadline_while_the_stock_is_locked_gives_the_lock_back(tmp_path: Path, redis: Redis) -> None:
    database = tmp_path / "orders.sqlite"
    with Storefront(
        tmp_path / "log", REDIS_URL=redis.url, STOREFRONT_DATABASE=str(database)
    ) as shop:
        assert shop.ask("/orders", "POST")[0] == 201
        # Somebody else writes for longer than an order may take.
        other = sqlite3.connect(database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert shop.ask("/orders", "POST")[0] == 504
        assert redis.command("EXISTS", "lock:book") == b":1"
        other.execute("ROLLBACK")
        # By itself it runs out after two seconds.
        poll("the lock is free", lambda: redis.command("EXISTS", "lock:book") == b":0" or None, 1)
        assert shop.ask("/orders", "POST")[0] == 201
        metrics = shop.quiet()
        assert metrics.requests(status="504") == 1
        assert metrics.sum("work_queue_deadline_exceeded_total", queue="orders") == 1
        assert metrics.sum("storefront_stock_locks_total", result="lost") == 0
        sold = 1_000_000 - other.execute("SELECT count FROM stock WHERE item = 'book'").fetchone()[0]
        assert sold == metrics.sum("storefront_orders_total")


def test_a_lock_is_given_back_by_its_owner_only(tmp_path: Path, redis: Redis) -> None:
    with Storefront(tmp_path / "log", REDIS_URL=redis.url) as shop:
        assert shop.ask("/orders", "POST")[0] == 201
        redis.command("SET", "lock:book", "somebody else", "PX", "30000")
        # Not in twenty attempts of a millisecond, or not within the deadline.
        assert shop.ask("/orders", "POST")[0] in (503, 504)
        assert shop.ask("/orders?item=ticket", "POST")[0] == 201
        shop.quiet()
        assert redis.command("EXISTS", "lock:book") == b":1"
        redis.command("DEL", "lock:book")
        assert shop.ask("/orders", "POST")[0] == 201


def test_deadlines_are_answers(tmp_path: Path) -> None:
    with Storefront(tmp_path / "log", STOREFRONT_FAULT="dry-pool") as shop:
        answered = Wrk(shop.service, orders(first=1, last=100_000), tmp_path, 2).wait()
        metrics = shop.quiet()
        assert_adds_up(metrics)
        assert metrics.requests() >= answered
        late = metrics.requests(status="504")
        assert late > 10
        # Who gave up waiting in the queue never had a worker.
        assert metrics.sum("work_queue_rejected_total", queue="orders") <= late
        assert metrics.sum("db_client_connection_max", db_client_connection_pool_name="orders-db") == 4


def test_it_sells_on_without_redis_and_with_it_again(tmp_path: Path, redis: Redis) -> None:
    with Storefront(tmp_path / "log", REDIS_URL=redis.url) as shop:
        reading = Wrk(shop.service, orders(), tmp_path, 8, connections=16)
        poll("the sale has begun", lambda: shop.metrics().requests() > 1_000 or None)
        redis.stop()

        def is_open() -> bool | None:
            return shop.metrics().sum("circuit_breaker_state", state="open") == 1 or None

        poll("the breaker is open", is_open, 10)
        # No stock without its lock; no limit without its limiter.
        assert shop.ask("/orders?customer=c1", "POST")[0] == 503
        without = shop.metrics()
        assert without.sum("rate_limiter_requests_total", result="error") >= 1
        assert without.sum("circuit_breaker_calls_total", result="rejected") > 0
        assert without.sum("storefront_invalidations_connected") == 0
        hits = without.sum("cache_requests_total", level="2", result="hit")

        redis.start()
        poll(
            "the breaker is closed, and changes are heard",
            lambda: (m := shop.metrics()).sum("circuit_breaker_state", state="closed") == 1
            and m.sum("storefront_invalidations_connected") == 1 or None, 10,
        )
        assert shop.ask("/orders?customer=c1", "POST")[0] == 201
        poll(
            "level 2 has hits again",
            lambda: shop.metrics().sum("cache_requests_total", level="2", result="hit") > hits or None,
            10,
        )
        answered = reading.wait()
        metrics = shop.quiet()
        assert_adds_up(metrics)
        # Reading never failed, but for what had no answer in time.
        gets = {"method": "GET", "http_route": "/orders/{id}"}
        answers = ({"status": "200"}, {"status": "504"}, {"error_type": "client_disconnect"})
        good = sum(metrics.requests(**gets, **labels) for labels in answers)
        assert good == metrics.requests(**gets) >= answered


class Customers:
    """Those behind a load balancer: they ask as long as `/readyz` says so, each over one connection."""

    def __init__(self, service: str, count: int) -> None:
        self._address = urllib.parse.urlsplit(service).netloc
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self.placed: list[int] = []
        self.lost: list[str] = []
        self.answered = 0
        balancer = threading.Thread(target=self._watch)
        self._threads = [balancer] + [
            threading.Thread(target=self._buy, args=(number,)) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def _watch(self) -> None:
        while not self._closed.is_set():
            try:
                fetch(f"http://{self._address}/readyz")
            except Exception:
                self._closed.set()
            self._closed.wait(0.02)

    def _buy(self, number: int) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=10)
        turn = 0
        while not self._closed.is_set():
            turn += 1
            ask = ("POST", f"/orders?customer=b{number}") if turn % 4 == 0 else ("GET", f"/orders/{turn}")
            try:
                connection.request(*ask)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.lost.append(f"{ask}: {error!r}")
                return
            with self._lock:
                self.answered += 1
                if answer.status == 201:
                    self.placed.append(int(body.split(b'"id":')[1].split(b",")[0].strip(b"}")))
        connection.close()

    def wait(self) -> None:
        """Until all are gone."""
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


def test_a_shutdown_under_load_loses_no_request_and_no_order(tmp_path: Path, redis: Redis) -> None:
    database = tmp_path / "orders.sqlite"
    settings = {"DRAIN_SECONDS": "1", "LAST_SCRAPE_SECONDS": "3", "RATE_LIMIT": "100000"}
    with Storefront(
        tmp_path / "log", REDIS_URL=redis.url, STOREFRONT_DATABASE=str(database), **settings
    ) as shop:
        reading = Wrk(shop.service, orders(), tmp_path, 4, connections=16)
        customers = Customers(shop.service, 8)
        poll("orders are placed", lambda: len(customers.placed) > 50 or None)
        shop.popen.send_signal(signal.SIGTERM)
        poll("/readyz of the agent fails", lambda: not is_ready(shop.agent) or None)
        customers.wait()
        assert customers.lost == []
        assert customers.placed and customers.answered > len(customers.placed)

        def drained() -> Metrics | None:
            metrics = shop.metrics()
            is_over = metrics.sum("service_drain_seconds") > 1.1
            return metrics if is_over and metrics.sum("http_server_active_requests") == 0 else None

        poll("it has drained", drained, 10)
        reading.wait()
        last = shop.metrics()
        assert_adds_up(last)
        assert last.sum("service_drain_remaining") == 0
        assert last.sum("service_drain_abandoned_total") == 0
        assert last.sum("work_queue_depth") + last.sum("work_queue_active") == 0
        assert shop.wait(20) == 0

    written = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    stored = {row[0] for row in written.execute("SELECT id FROM orders WHERE id > 2000")}
    assert set(customers.placed) <= stored
    assert len(stored) == last.sum("storefront_orders_total")


def is_ready(agent: str) -> bool:
    """Whether the agent says that the service takes requests."""
    try:
        fetch(f"{agent}/readyz")
        return True
    except Exception:
        return False
