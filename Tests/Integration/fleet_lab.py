# SPDX-License-Identifier: Apache-2.0
"""Twenty instances of a service, customers who keep count, and what happens to a fleet."""

import http.client
import json
import signal
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alerting import Alertmanager, Webhook
from harness import Quickstart, free_port, poll
from monitored import TRACE, quick_rules
from prometheus_server import Prometheus

SIZE = 20
JOB = "shop"
INTERVAL = 1.0
"""Between two scrapes of an instance, in seconds; a scrape may take as long."""
KINDS = ("book", "record", "ticket")


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
    end: float | None = None
    orders: list[Order] = field(default_factory=list)

    def answered(self, until: float = float("inf")) -> int:
        """Orders that were accepted before a moment, as far as the customers know: no counter may show fewer."""
        return sum(1 for order in self.orders if order.answered is not None and order.answered < until)

    def sent(self, until: float = float("inf")) -> int:
        """Orders that were on their way before a moment: no counter may show more."""
        return sum(1 for order in self.orders if order.sent < until)


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
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(run.service).netloc, timeout=10)
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
            self.taken = f"127.0.0.1:{free_port()}"
            with socket.create_server(("127.0.0.1", int(self.taken.split(":")[1]))) as stranger:
                self.start_all()
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
                self.customers = [Customer(lambda: [run for run in self.runs if run.end is None], number) for number in range(4)]
                for customer in self.customers:
                    customer.start()
                building.callback(self.stop_customers)
                self.await_instances(SIZE - 1)
                self.instances[self.taken].find("(cannot listen on .*address in use)")
            # The port is free now, and the agent looks for it.
            self.await_instances(SIZE)
            self.restart(self.targets[0])
            self.replace(self.targets[1])
            self.stop_customers()
            self.await_the_last_scrape()
            self.stack = building.pop_all()

    @property
    def targets(self) -> list[str]:
        """Those who should be there, in the order of their start."""
        return list(self.instances)

    def start(self, target: str, service_port: str = "0") -> None:
        """Starts an instance whose agent has this address."""
        version = "service.version=1.4.2"
        log = self.place / f"{target.split(':')[1]}-{len(self.runs)}.log"
        begin = time.time()
        instance = Quickstart(
            log, agent=target, QUICKSTART_TRAFFIC="none", QUICKSTART_PORT=service_port, OTEL_RESOURCE_ATTRIBUTES=version)
        self.instances[target] = instance
        self.runs.append(Run(target, instance.service, begin))

    def start_all(self) -> None:
        """Starts the fleet, and says where it is; the last one finds its port taken."""
        for _ in range(SIZE - 1):
            self.start(f"127.0.0.1:{free_port()}")
        self.start(self.taken)
        self.announce()

    def announce(self) -> None:
        """Writes down who there is, in one go, as a deployment tool would."""
        draft = self.file.with_suffix(".draft")
        draft.write_text(json.dumps([{"targets": self.targets, "labels": {"cluster": "local", "namespace": "fleet"}}]))
        draft.rename(self.file)

    def run_of(self, target: str) -> Run:
        """The process that an instance has now."""
        return next(run for run in self.runs if run.target == target and run.end is None)

    def await_instances(self, count: int) -> None:
        """Waits until both servers see so many, and each of them has been ordered from."""
        for server in self.servers.values():
            poll(f"{count} are up", lambda server=server: server.query(f'count(up{{job="{JOB}"}} == 1) == {count}') or None, 40)  # type: ignore[misc]
        poll("all are ordered from", lambda: all(run.answered() >= 20 for run in self.runs if run.end is None) or None, 40)

    def restart(self, target: str) -> None:
        """Ends an instance as a supervisor does, and starts it anew where it was."""
        run = self.run_of(target)
        old = self.instances[target]
        old.popen.send_signal(signal.SIGTERM)
        assert old.wait(20) == 0
        run.end = time.time()
        self.start(target)
        self.await_instances(SIZE)

    def replace(self, target: str) -> None:
        """Kills an instance, waits until somebody is told, and puts another one in its place."""
        run = self.run_of(target)
        self.killed = target
        self.instances[target].popen.kill()
        self.instances[target].wait(10)
        run.end = time.time()
        self.told = self.webhook.told_of("OutriderScrapeFailing", "firing", target)
        self.central.await_samples(f'ALERTS{{alertname="OutriderScrapeFailing",alertstate="firing",instance="{target}"}}')
        del self.instances[target]
        self.start(f"127.0.0.1:{free_port()}")
        self.announce()
        self.told_at_the_end = self.webhook.told_of("OutriderScrapeFailing", "resolved", target)
        self.await_instances(SIZE)

    def stop_customers(self) -> None:
        """Ends the orders, each of them whole."""
        for customer in self.customers:
            customer.is_over.set()
        for customer in self.customers:
            customer.join(20)

    def await_the_last_scrape(self) -> None:
        """Waits until each living instance has been scraped by both after its last order, twice."""
        now = time.time() + INTERVAL
        for server in self.servers.values():
            late = f'count(min by (instance) (timestamp(up{{job="{JOB}"}})) > {now}) == {SIZE}'
            poll("all are scraped once more", lambda server=server, late=late: server.query(late) or None)  # type: ignore[misc]

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
