# SPDX-License-Identifier: Apache-2.0
"""Services under load, with Prometheus servers that scrape them: one keeps classic histograms, one native ones.

One of the newest release, where there is one, keeps classic ones. The first one also writes what it has to a VictoriaMetrics.
"""

import contextlib
import re
import signal
import socket
import subprocess
import threading
import urllib.request
from pathlib import Path
from types import TracebackType

from harness import Example, Lines, clean_environment, release_binary
from prometheus_releases import SUITES, absence, release
from prometheus_server import Prometheus
from runtime_lab import RuntimeLab, cpu_limit
from storefront_lab import Redis, Storefront
from victoria_metrics import VictoriaMetrics
from websockets import WebSocket

from boards import FOLDER

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
NATIVE = {"OUTRIDER_HISTOGRAMS": "both"}
"""Native histograms for the server that asks for them, beside classic ones for the others."""
LIMIT = 0.2
"""Of the processors, for the probe: it uses more at times, and is throttled then."""
WINDOW = "10s"
"""Of rates: ten scrapes or twenty, some of which a machine that is busy may miss."""


def quick_rules(name: str, place: Path) -> Path:
    """Rules that are asked every second and wait no longer than that."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    text = re.sub(r"(?m)^    for: \d+m$", "    for: 1s", re.sub(r"(?m)^  interval: \d+s$", "  interval: 1s", text))
    (place / name).write_text(text)
    return place / name


class MemoryLab:
    """The memory lab, which ends when its input does."""

    def __init__(self, log: Path) -> None:
        self.popen = subprocess.Popen(
            [release_binary("memory-lab")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log.open("wb"),
            env=clean_environment(OTEL_RESOURCE_ATTRIBUTES="service.version=0.9", **NATIVE),
        )
        lines = Lines(self.popen.stdout)
        self.service, self.agent = (lines.read().decode().split()[1] for _ in range(2))

    def __enter__(self) -> "MemoryLab":
        return self

    def __exit__(self, *_: object) -> None:
        self.popen.send_signal(signal.SIGKILL)
        self.popen.communicate(timeout=60)


class Customers(threading.Thread):
    """Requests to the storefront and the memory lab, some fifty a second, and some trouble, until they are told to stop."""

    def __init__(self, storefront: Storefront, lab: MemoryLab, probe: RuntimeLab, socket: WebSocket) -> None:
        super().__init__(daemon=True)
        self.storefront, self.lab, self.probe, self.socket = storefront, lab, probe, socket
        self.is_over = threading.Event()

    def run(self) -> None:
        number = 0
        shop = self.storefront.service
        while not self.is_over.wait(0.02):
            number += 1
            self.ask(f"{shop}/orders/{number % 300 + 1}")
            if number % 3 == 0:
                self.ask(f"{shop}/orders?item=book&customer=c{number % 7}", method="POST")
            if number % 5 == 0:
                # One that nobody has asked for yet, so that it has to be loaded.
                self.ask(f"{shop}/orders/{1_000 + number}")
                self.ask(f"{self.lab.service}/products/{number % 20}")
                self.ask(f"{self.lab.service}/products/pooled")
                self.ask(f"{shop}/orders/no-number")
                self.socket.say("hello")
            if number % 20 == 0:
                self.make_trouble()

    def make_trouble(self) -> None:
        """What only goes wrong when somebody makes it: each of it shows on a panel."""
        self.ask(f"{self.storefront.agent}/nothing")
        for order in ("everything", "request 300", "burn 50", "objects 20000", "jobs 100"):
            self.probe.do(order)

    @staticmethod
    def ask(url: str, method: str = "GET") -> None:
        """A request of a trace that is sampled; however it ends."""
        head = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        request = urllib.request.Request(url, method=method, headers=head)
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()

    def stop(self) -> None:
        """Ends it, before those are gone whom it asks."""
        self.is_over.set()
        self.join(120)


class Monitored:
    """The storefront, the memory lab, the chat and the probe under load, and both servers."""

    def __init__(self, place: Path) -> None:
        self.stack = contextlib.ExitStack()
        with contextlib.ExitStack() as building:
            enter = building.enter_context
            redis = enter(Redis(place))
            version = {"OTEL_RESOURCE_ATTRIBUTES": "service.version=1.4.2", **NATIVE}
            self.storefront = enter(Storefront(
                place / "storefront.log", REDIS_URL=redis.url, STOREFRONT_DATABASE=str(place / "orders.db"), **version))
            lab = enter(MemoryLab(place / "lab.log"))
            self.chat = enter(Example(release_binary("chat"), place / "chat.log", **NATIVE))
            # A bad address is a failed start; the agent goes on without.
            self.probe = enter(RuntimeLab(log=place / "probe.log", OUTRIDER_DEBUG_ADDRESS="nonsense", **NATIVE))
            agents = {"storefront": self.storefront.agent, "memory-lab": lab.agent, "chat": self.chat.agent, "probe": self.probe.url}
            jobs = {job: f"{url.removeprefix('http://')}/metrics" for job, url in agents.items()}
            rules = [quick_rules("outrider.rules.yml", place)]
            stores = "exemplar-storage"
            flags = [f"--enable-feature={stores}"]
            self.victoria = enter(VictoriaMetrics(place / "victoria"))
            self.classic = enter(Prometheus(
                place / "classic", jobs, True, flags=flags, rules=rules, remote_write=self.victoria.write_url, keeps=True))
            self.native = enter(Prometheus(
                place / "native", jobs, True, interval="1s", flags=[f"--enable-feature={stores},native-histograms"], rules=rules))
            self.servers = {"classic": self.classic, "native": self.native}
            # The newest one, where there is one.
            if not absence(SUITES[-1]):
                newest = release(SUITES[-1])
                self.servers[str(newest)] = enter(Prometheus(place / "newest", jobs, True, of=newest, flags=flags, rules=rules))
            self.has_limit = self.limit(building)
            self.probe.do("block-main 300")
            self.probe.do("sleepers 10")
            # Half a request, which the agent cuts off in the end.
            host, port = self.storefront.target.split(":")
            half = enter(socket.create_connection((host, int(port))))
            half.sendall(b"GET /metrics HTTP/1.1\r\n")
            customers = Customers(self.storefront, lab, self.probe, WebSocket(self.chat.service + "/chat"))
            customers.start()
            building.callback(customers.stop)
            self.stack = building.pop_all()

    def limit(self, building: contextlib.ExitStack) -> bool:
        """Whether the probe has a control group of its own, which may use some of a processor."""
        try:
            building.enter_context(cpu_limit(self.probe.popen.pid, LIMIT))
        except OSError:
            return False
        return True

    def __enter__(self) -> "Monitored":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stack.close()
