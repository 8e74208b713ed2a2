# SPDX-License-Identifier: Apache-2.0
"""Twenty instances of a service, customers who keep count, and what happens to a fleet."""

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
from monitored import TRACE, quick_rules
from ports import reserved_port
from prometheus_server import Prometheus

SIZE = 20
JOB = "shop"
INTERVAL = 1.0
"""Between two scrapes of an instance, in seconds; a scrape may take as long."""
KINDS = ("book", "record", "ticket")
ORDERS = "orders_placed_total"
TOLERANCE = 0.01
"""Of a scrape's timestamp: Prometheus puts scrapes on their grid if they are 2 ms off; and the grain of clocks."""
SEEN = 20
"""All orders must be at least this many times those that were never recorded, so that a panel does not show the gap."""
LIMIT = 240
"""Seconds within which a part of the story has happened, on any machine."""


@dataclass
class Order:
    """A request as its customer saw it, by the clock of this machine, which is Prometheus' too."""

    kind: str
    sent: float
    answered: float | None = None


@dataclass
class Run:
    """A process of an instance, from its start to its end; what was ordered there."""

    target: str
    service: str
    begin: float
    ending: float | None = None
    """When it was told to end."""
    end: float | None = None
    is_open: bool = True
    """Whether customers order here by themselves."""
    orders: list[Order] = field(default_factory=list)

    def answered(self, until: float = float("inf")) -> int:
        """Orders that were accepted before a moment, as far as the customers know: no counter may show fewer."""
        return sum(1 for order in self.orders if order.answered is not None and order.answered < until)

    def sent(self, until: float = float("inf")) -> int:
        """Orders that were on their way before a moment: no counter may show more."""
        return sum(1 for order in self.orders if order.sent < until)

    @property
    def is_busy(self) -> bool:
        """Whether enough was ordered, of each kind."""
        kinds = Counter(order.kind for order in self.orders if order.answered is not None)
        return kinds.total() >= 20 and all(kinds[kind] >= 3 for kind in KINDS)


def last_scrape(server: Prometheus, run: Run) -> tuple[float, float, float]:
    """What the last scrape of a process recorded of its orders, when it began, and how long it took."""
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
    """Orders at a process that has ended which its last scrape may not have seen."""
    return run.sent() - run.answered(last_scrape(server, run)[1] - TOLERANCE)


class Customer(threading.Thread):
    """Orders at one instance after the other, and writes down what was answered."""

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
        """One order, over a connection of its own; who is not answered may have been served all the same."""
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(run.service).netloc, timeout=LIMIT)
        try:
            connection.connect()
        except OSError:
            # Nobody is there, so nothing was ordered.
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
    """The fleet, both ways to see it, and its story: a taken port, a restart, a kill and a replacement."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.runs: list[Run] = []
        self.instances: dict[str, Quickstart] = {}
        self.stack = ExitStack()
        with ExitStack() as building:
            enter = building.enter_context
            building.callback(self.end_all)
            self.file = place / "fleet.json"
            self.taken = f"127.0.0.1:{reserved_port()}"
            with socket.create_server(("127.0.0.1", int(self.taken.split(":")[1]))):
                self.start_others()
                self.webhook = enter(Webhook())
                alertmanager = enter(Alertmanager(place / "alertmanager", self.webhook.target))
                rules = [quick_rules("outrider.rules.yml", place)]
                discovery = {"static_configs": [], "file_sd_configs": [{"files": [str(self.file)], "refresh_interval": "1s"}]}
                found: dict[str, Any] = {"jobs": {JOB: "file/metrics"}, "options": {JOB: discovery}, "interval": f"{INTERVAL:g}s"}
                stores = ["--enable-feature=exemplar-storage"]
                self.direct = enter(Prometheus(
                    place / "direct", **found, flags=stores, rules=rules, alertmanager=alertmanager.target))
                self.central = enter(Prometheus(
                    place / "central", {}, flags=["--web.enable-remote-write-receiver", *stores], rules=rules,
                    interval=f"{INTERVAL:g}s"))
                self.forwarder = enter(Prometheus(
                    place / "forwarder", **found, flags=stores, remote_write=f"{self.central.url}/api/v1/write"))
                self.servers = {"direct": self.direct, "central": self.central}
                self.customers = [Customer(self.open_runs, number) for number in range(4)]
                for customer in self.customers:
                    customer.start()
                building.callback(self.stop_customers)
                self.await_instances(SIZE - 1)
                # Late, since the agent looks for its port ever less often.
                self.start(self.taken)
                self.announce()
                self.instances[self.taken].find("(cannot listen on .*address in use)")
                self.await_both(f'up{{job="{JOB}",instance="{self.taken}"}} == 0')
                self.await_orders()
            # The port is free now.
            self.await_instances(SIZE)
            restarted, replaced = self.targets[:2]
            self.restart(restarted)
            self.replace(replaced)
            poll("little of what was ordered was not recorded", self.is_little_unseen, LIMIT)
            self.stop_customers()
            self.await_the_last_scrape()
            self.stack = building.pop_all()

    @property
    def targets(self) -> list[str]:
        """Those who should be there, in the order of their start."""
        return list(self.instances)

    def open_runs(self) -> list[Run]:
        """Those at which customers order."""
        return [run for run in self.runs if run.is_open and run.end is None]

    def start(self, target: str, is_open: bool = True) -> Run:
        """Starts an instance whose agent has this address."""
        version = "service.version=1.4.2"
        log = self.place / f"{target.split(':')[1]}-{time.monotonic_ns()}.log"
        begin = time.time()
        self.instances[target] = instance = Quickstart(
            log, agent=target, QUICKSTART_TRAFFIC="none", QUICKSTART_PORT="0", OTEL_RESOURCE_ATTRIBUTES=version)
        self.runs.append(run := Run(target, instance.service, begin, is_open=is_open))
        return run

    def start_others(self) -> None:
        """Starts the fleet but for the one whose port is taken, and says where it is."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.start, [f"127.0.0.1:{reserved_port()}" for _ in range(SIZE - 1)]))
        self.announce()

    def announce(self) -> None:
        """Writes down who there is, in one go, as a deployment tool would."""
        draft = self.file.with_suffix(".draft")
        draft.write_text(json.dumps([{"targets": self.targets, "labels": {"cluster": "local", "namespace": "fleet"}}]))
        draft.rename(self.file)

    def run_of(self, target: str) -> Run:
        """The process that an instance has now."""
        return next(run for run in self.runs if run.target == target and run.end is None)

    def await_both(self, expression: str) -> None:
        """Waits until a query has samples in both servers."""
        for server in self.servers.values():
            poll(f"{expression} has samples", lambda server=server: server.query(expression) or None, LIMIT)  # type: ignore[misc]

    def await_instances(self, count: int) -> None:
        """Waits until both servers see so many, and each of them has been ordered from."""
        self.await_both(f'count(up{{job="{JOB}"}} == 1) == {count}')
        self.await_orders()

    def await_orders(self) -> None:
        """Waits until enough was ordered at each instance."""
        poll("all are ordered from", lambda: all(run.is_busy for run in self.runs if run.end is None) or None, LIMIT)

    def restart(self, target: str) -> None:
        """Ends an instance as a supervisor does, and starts it again at the same address.

        Before that it is seen to have counted more than the new process has when it is scraped first.
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
        """Kills an instance, waits until somebody is told, and puts another one in its place."""
        run = self.run_of(target)
        self.killed = target
        run.ending = time.time()
        self.instances[target].popen.kill()
        self.instances[target].wait(LIMIT)
        run.end = time.time()
        self.told = self.webhook.told_of("OutriderScrapeFailing", "firing", target)
        self.central.await_samples(f'ALERTS{{alertname="OutriderScrapeFailing",alertstate="firing",instance="{target}"}}')
        del self.instances[target]
        self.start(f"127.0.0.1:{reserved_port()}")
        self.announce()
        self.told_at_the_end = self.webhook.told_of("OutriderScrapeFailing", "resolved", target)
        self.await_instances(SIZE)

    def stop_customers(self) -> None:
        """Ends the orders, each of them whole."""
        for customer in self.customers:
            customer.is_over.set()
        for customer in self.customers:
            customer.join(LIMIT)
            assert not customer.is_alive()

    def is_little_unseen(self) -> bool | None:
        """Whether so much was ordered that what was not recorded of those that ended is next to nothing."""
        truth = sum(run.answered() for run in self.runs)
        ended = [run for run in self.runs if run.end is not None]
        return all(sum(unseen(server, run) for run in ended) * SEEN <= truth for server in self.servers.values()) or None

    def await_the_last_scrape(self) -> None:
        """Waits until each living instance has been scraped by both after its last order, twice.

        Each series by itself: what is written to the central server does not arrive in the order of the scrapes.
        """
        now = time.time() + INTERVAL
        up = f'up{{job="{JOB}"}}'
        self.await_both(f"count(min by (instance) (timestamp({up}) and {up} == 1) > {now}) == {SIZE}")
        for name in ("scrape_duration_seconds", ORDERS, "http_server_request_duration_seconds_count"):
            self.await_both(f'count(min by (instance) (timestamp({name}{{job="{JOB}"}})) > {now}) == {SIZE}')

    def end_all(self) -> None:
        """Ends every instance."""
        for instance in self.instances.values():
            instance.popen.send_signal(signal.SIGTERM)
        for instance in self.instances.values():
            instance.stop()

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()
