# SPDX-License-Identifier: Apache-2.0
"""Services under load, and the Prometheus servers that scrape them: one with classic histograms,
one with native ones.

A server of the newest installed release also keeps classic ones. The first server writes its
samples to a VictoriaMetrics too.
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
"""Exposes native histograms to a server that requests them, and classic ones to the others."""
LIMIT = 0.2
"""The probe's CPU limit in cores: it sometimes uses more, and is throttled then."""
WINDOW = "10s"
"""The window of rates: ten or twenty scrapes, of which a busy machine may miss some."""


def quick_rules(name: str, folder: Path) -> Path:
    """A copy of a rule file with evaluation intervals and `for` periods of a second."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    text = re.sub(r"(?m)^    for: \d+m$", "    for: 1s", re.sub(r"(?m)^  interval: \d+s$", "  interval: 1s", text))
    (folder / name).write_text(text)
    return folder / name


class MemoryLab:
    """The memory lab, which ends when its standard input closes."""

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
    """Sends some fifty requests a second to the storefront and the memory lab, with some faults,
    until stopped."""

    def __init__(self, storefront: Storefront, lab: MemoryLab, probe: RuntimeLab, socket: WebSocket) -> None:
        super().__init__(daemon=True)
        self.storefront, self.lab, self.probe, self.socket = storefront, lab, probe, socket
        self.is_over = threading.Event()

    def run(self) -> None:
        number = 0
        shop = self.storefront.service
        while not self.is_over.wait(0.02):
            number += 1
            self.send(f"{shop}/orders/{number % 300 + 1}")
            if number % 3 == 0:
                self.send(f"{shop}/orders?item=book&customer=c{number % 7}", method="POST")
            if number % 5 == 0:
                # An order not requested before, which has to be loaded.
                self.send(f"{shop}/orders/{1_000 + number}")
                self.send(f"{self.lab.service}/products/{number % 20}")
                self.send(f"{self.lab.service}/products/pooled")
                self.send(f"{shop}/orders/no-number")
                self.socket.send_text("hello")
            if number % 20 == 0:
                self.make_trouble()

    def make_trouble(self) -> None:
        """Triggers the faults that do not happen by themselves; each shows on a panel."""
        self.send(f"{self.storefront.agent}/nothing")
        for order in ("everything", "request 300", "burn 50", "objects 20000", "jobs 100"):
            self.probe.do(order)

    @staticmethod
    def send(url: str, method: str = "GET") -> None:
        """Sends a request with a sampled trace, and ignores how it ends."""
        head = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        request = urllib.request.Request(url, method=method, headers=head)
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=60) as response:
            response.read()

    def stop(self) -> None:
        """Stops the thread; called while the services still run."""
        self.is_over.set()
        self.join(120)


class Monitored:
    """The storefront, the memory lab, the chat and the probe under load, with the servers that
    scrape them."""

    def __init__(self, folder: Path) -> None:
        self.stack = contextlib.ExitStack()
        with contextlib.ExitStack() as building:
            enter = building.enter_context
            redis = enter(Redis(folder))
            version = {"OTEL_RESOURCE_ATTRIBUTES": "service.version=1.4.2", **NATIVE}
            self.storefront = enter(Storefront(
                folder / "storefront.log", REDIS_URL=redis.url, STOREFRONT_DATABASE=str(folder / "orders.db"), **version))
            lab = enter(MemoryLab(folder / "lab.log"))
            self.chat = enter(Example(release_binary("chat"), folder / "chat.log", **NATIVE))
            # An invalid debug address counts as a failed start; the agent runs without that
            # listener.
            self.probe = enter(RuntimeLab(log=folder / "probe.log", OUTRIDER_DEBUG_ADDRESS="nonsense", **NATIVE))
            agents = {"storefront": self.storefront.agent, "memory-lab": lab.agent, "chat": self.chat.agent, "probe": self.probe.url}
            jobs = {job: f"{url.removeprefix('http://')}/metrics" for job, url in agents.items()}
            rules = [quick_rules("outrider.rules.yml", folder)]
            stores = "exemplar-storage"
            flags = [f"--enable-feature={stores}"]
            self.victoria = enter(VictoriaMetrics(folder / "victoria"))
            self.classic = enter(Prometheus(
                folder / "classic", jobs, True, flags=flags, rules=rules, remote_write=self.victoria.write_url, keeps=True))
            self.native = enter(Prometheus(
                folder / "native", jobs, True, interval="1s", flags=[f"--enable-feature={stores},native-histograms"], rules=rules))
            self.servers = {"classic": self.classic, "native": self.native}
            # The newest release, if it is installed.
            if not absence(SUITES[-1]):
                newest = release(SUITES[-1])
                self.servers[str(newest)] = enter(Prometheus(folder / "newest", jobs, True, of=newest, flags=flags, rules=rules))
            self.has_limit = self.limit(building)
            self.probe.do("block-main 300")
            self.probe.do("sleepers 10")
            # Half a request, which the agent cuts off at its deadline.
            host, port = self.storefront.target.split(":")
            half = enter(socket.create_connection((host, int(port))))
            half.sendall(b"GET /metrics HTTP/1.1\r\n")
            customers = Customers(self.storefront, lab, self.probe, WebSocket(self.chat.service + "/chat"))
            customers.start()
            building.callback(customers.stop)
            self.stack = building.pop_all()

    def limit(self, building: contextlib.ExitStack) -> bool:
        """Puts the probe into its own control group with a CPU limit; False if that is not
        permitted."""
        try:
            building.enter_context(cpu_limit(self.probe.popen.pid, LIMIT))
        except OSError:
            return False
        return True

    def __enter__(self) -> "Monitored":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stack.close()
