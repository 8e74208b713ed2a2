# SPDX-License-Identifier: Apache-2.0
"""Twenty instances of a service, customers that count their orders, and the events in a fleet."""

import http.client
import json
import signal
import socket
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alerting import Alertmanager, Webhook
from harness import Quickstart, poll
from monitored_services import TRACE, quick_rules
from ports import reserved_port
from prometheus_server import Prometheus

SIZE = 20
JOB = "shop"
INTERVAL = 1.0
"""Scrape interval and timeout, in seconds."""
KINDS = ("book", "record", "ticket")
ORDERS = "orders_placed_total"
TOLERANCE = 0.01
"""Tolerance of a scrape's timestamp: Prometheus moves scrapes by up to 2 ms onto their grid; and
the resolution of clocks."""
SEEN = 20
"""All orders must be at least this many times the unrecorded ones, so that the gap is invisible on
a panel."""
LIMIT = 240
"""Seconds within which each event has happened, on any machine."""


@dataclass
class Order:
    """A request as its customer saw it, by this machine's clock, which Prometheus uses too."""

    kind: str
    sent: float
    answered: float | None = None


@dataclass
class Run:
    """A process of an instance, from start to end, with the orders placed there."""

    target: str
    service: str
    begin: float
    ending: float | None = None
    """When it was asked to stop."""
    end: float | None = None
    is_open: bool = True
    """Whether customers choose it by themselves."""
    orders: list[Order] = field(default_factory=list)

    def answered(self, until: float = float("inf")) -> int:
        """Orders accepted before a moment, as far as the customers know: no counter may show
        fewer."""
        return sum(1 for order in self.orders if order.answered is not None and order.answered < until)

    def sent(self, until: float = float("inf")) -> int:
        """Orders sent before a moment: no counter may show more."""
        return sum(1 for order in self.orders if order.sent < until)

    @property
    def is_busy(self) -> bool:
        """Whether it has received enough orders of each kind."""
        kinds = Counter(order.kind for order in self.orders if order.answered is not None)
        return kinds.total() >= 20 and all(kinds[kind] >= 3 for kind in KINDS)


def last_scrape(server: Prometheus, run: Run) -> tuple[float, float, float]:
    """The number of orders in the last scrape of a process, the scrape's time, and its duration."""
    end = run.end or float("inf")
    own = f'job="{JOB}",instance="{run.target}"'
    ups = [at for at, value in server.recorded(f"up{{{own}}}") if run.begin < at < end and value == 1]
    [at] = ups[-1:]
    took = dict(server.recorded(f"scrape_duration_seconds{{{own}}}"))[at]
    total = 0.0
    for kind in KINDS:
        total += dict(server.recorded(f'{ORDERS}{{{own},kind="{kind}"}}')).get(at, 0)
    return total, at, took


def unseen(server: Prometheus, run: Run) -> int:
    """Orders at a process that has ended which its last scrape may have missed."""
    return run.sent() - run.answered(last_scrape(server, run)[1] - TOLERANCE)


class Customer(threading.Thread):
    """Places orders at one instance after another, and records the responses."""

    def __init__(self, runs: Callable[[], list[Run]], number: int) -> None:
        super().__init__(daemon=True)
        self.runs, self.number, self.is_over = runs, number, threading.Event()

    def run(self) -> None:
        count = self.number
        while not self.is_over.wait(0.005):
            count += 1
            runs = self.runs()
            self.order(runs[count % len(runs)], KINDS[count % 3])

    @staticmethod
    def order(run: Run, kind: str) -> None:
        """Places one order, on its own connection; an order without a response may have been
        served."""
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(run.service).netloc, timeout=LIMIT)
        try:
            connection.connect()
        except OSError:
            # The instance does not listen, so it received no order.
            return
        order = Order(kind, time.time())
        run.orders.append(order)
        try:
            head = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
            connection.request("POST", f"/orders?kind={kind}", headers=head)
            response = connection.getresponse()
            response.read()
            assert response.status == 201
            order.answered = time.time()
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()


class Fleet:
    """The fleet, scraped directly and through remote write, and its events: a taken port, a
    restart, a kill and a replacement."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs: list[Run] = []
        self.instances: dict[str, Quickstart] = {}
        self.stack = ExitStack()
        with ExitStack() as building:
            enter = building.enter_context
            building.callback(self.end_all)
            self.file = folder / "fleet.json"
            self.taken = f"127.0.0.1:{reserved_port()}"
            with socket.create_server(("127.0.0.1", int(self.taken.split(":")[1]))):
                self.start_others()
                self.webhook = enter(Webhook())
                alertmanager = enter(Alertmanager(folder / "alertmanager", self.webhook.target))
                rules = [quick_rules("outrider.rules.yml", folder)]
                discovery = {"static_configs": [], "file_sd_configs": [{"files": [str(self.file)], "refresh_interval": "1s"}]}
                found: dict[str, Any] = {"jobs": {JOB: "file/metrics"}, "options": {JOB: discovery}, "interval": f"{INTERVAL:g}s"}
                stores = ["--enable-feature=exemplar-storage"]
                self.direct = enter(Prometheus(
                    folder / "direct", **found, flags=stores, rules=rules, alertmanager=alertmanager.target))
                self.central = enter(Prometheus(
                    folder / "central", {}, flags=["--web.enable-remote-write-receiver", *stores], rules=rules,
                    interval=f"{INTERVAL:g}s"))
                self.forwarder = enter(Prometheus(
                    folder / "forwarder", **found, flags=stores, remote_write=f"{self.central.url}/api/v1/write"))
                self.servers = {"direct": self.direct, "central": self.central}
                self.customers = [Customer(self.open_runs, number) for number in range(4)]
                for customer in self.customers:
                    customer.start()
                building.callback(self.stop_customers)
                self.await_instances(SIZE - 1)
                # Started last, since the agent retries its port at growing intervals.
                self.start(self.taken)
                self.announce()
                self.instances[self.taken].find("(cannot listen on .*address in use)")
                self.await_both(f'up{{job="{JOB}",instance="{self.taken}"}} == 0')
                self.await_orders()
            # The port is free from here on.
            self.await_instances(SIZE)
            restarted, replaced = self.targets[:2]
            self.restart(restarted)
            self.replace(replaced)
            poll("the unrecorded orders are negligible", self.is_little_unseen, LIMIT)
            self.stop_customers()
            self.await_the_last_scrape()
            self.stack = building.pop_all()

    @property
    def targets(self) -> list[str]:
        """The expected targets, in the order of their start."""
        return list(self.instances)

    def open_runs(self) -> list[Run]:
        """The processes that customers order from."""
        return [run for run in self.runs if run.is_open and run.end is None]

    def start(self, target: str, is_open: bool = True) -> Run:
        """Starts an instance whose agent listens on this address."""
        version = "service.version=1.4.2"
        log = self.folder / f"{target.split(':')[1]}-{time.monotonic_ns()}.log"
        begin = time.time()
        self.instances[target] = instance = Quickstart(
            log, agent=target, QUICKSTART_TRAFFIC="none", QUICKSTART_PORT="0", OTEL_RESOURCE_ATTRIBUTES=version)
        self.runs.append(run := Run(target, instance.service, begin, is_open=is_open))
        return run

    def start_others(self) -> None:
        """Starts every instance but the one whose port is taken, and announces them."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.start, [f"127.0.0.1:{reserved_port()}" for _ in range(SIZE - 1)]))
        self.announce()

    def announce(self) -> None:
        """Writes the list of targets atomically, as a deployment tool would."""
        draft = self.file.with_suffix(".draft")
        draft.write_text(json.dumps([{"targets": self.targets, "labels": {"cluster": "local", "namespace": "fleet"}}]))
        draft.rename(self.file)

    def run_of(self, target: str) -> Run:
        """The current process of an instance."""
        return next(run for run in self.runs if run.target == target and run.end is None)

    def await_both(self, expression: str) -> None:
        """Waits until a query has samples in both servers."""
        for server in self.servers.values():
            poll(f"{expression} has samples", lambda server=server: server.query(expression) or None, LIMIT)  # type: ignore[misc]

    def await_instances(self, count: int) -> None:
        """Waits until both servers see this many instances, and each has received orders."""
        self.await_both(f'count(up{{job="{JOB}"}} == 1) == {count}')
        self.await_orders()

    def await_orders(self) -> None:
        """Waits until each instance has received enough orders."""
        poll("each instance has received orders", lambda: all(run.is_busy for run in self.runs if run.end is None) or None, LIMIT)

    def restart(self, target: str) -> None:
        """Stops an instance as a supervisor does, and starts it again at the same address.

        Before that, both servers have recorded a higher count than the new process has at its first
        scrape.
        """
        own = f'{ORDERS}{{job="{JOB}",instance="{target}"}}'
        self.await_both(f"count({own} >= 2) == {len(KINDS)}")
        run = self.run_of(target)
        old = self.instances[target]
        run.ending = time.time()
        old.popen.send_signal(signal.SIGTERM)
        assert old.wait(LIMIT) == 0
        run.end = time.time()
        new = self.start(target, is_open=False)
        for kind in KINDS:
            Customer.order(new, kind)
        self.await_both(f"count({own} == 1) == {len(KINDS)}")
        new.is_open = True
        self.await_instances(SIZE)

    def replace(self, target: str) -> None:
        """Kills an instance, waits for the alert, and starts a replacement."""
        run = self.run_of(target)
        self.killed = target
        run.ending = time.time()
        self.instances[target].popen.kill()
        self.instances[target].wait(LIMIT)
        run.end = time.time()
        self.fired = self.webhook.await_alert("OutriderScrapeFailing", "firing", target)
        self.central.await_samples(f'ALERTS{{alertname="OutriderScrapeFailing",alertstate="firing",instance="{target}"}}')
        del self.instances[target]
        self.start(f"127.0.0.1:{reserved_port()}")
        self.announce()
        self.resolved = self.webhook.await_alert("OutriderScrapeFailing", "resolved", target)
        self.await_instances(SIZE)

    def stop_customers(self) -> None:
        """Stops the customers; each finishes its order."""
        for customer in self.customers:
            customer.is_over.set()
        for customer in self.customers:
            customer.join(LIMIT)
            assert not customer.is_alive()

    def is_little_unseen(self) -> bool | None:
        """Whether the orders of ended processes that were not recorded are negligible."""
        truth = sum(run.answered() for run in self.runs)
        ended = [run for run in self.runs if run.end is not None]
        return all(sum(unseen(server, run) for run in ended) * SEEN <= truth for server in self.servers.values()) or None

    def await_the_last_scrape(self) -> None:
        """Waits until both servers have scraped each living instance twice after its last order.

        Checks each series by itself: remote write does not deliver them in the order of the
        scrapes.
        """
        now = time.time() + INTERVAL
        up = f'up{{job="{JOB}"}}'
        self.await_both(f"count(min by (instance) (timestamp({up}) and {up} == 1) > {now}) == {SIZE}")
        for name in ("scrape_duration_seconds", ORDERS, "http_server_request_duration_seconds_count"):
            self.await_both(f'count(min by (instance) (timestamp({name}{{job="{JOB}"}})) > {now}) == {SIZE}')

    def end_all(self) -> None:
        """Stops every instance."""
        for instance in self.instances.values():
            instance.popen.send_signal(signal.SIGTERM)
        for instance in self.instances.values():
            instance.stop()

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()
