# SPDX-License-Identifier: Apache-2.0
"""Socket activation: an agent takes the socket that a supervisor passes, and leaves it open when it
stops."""

import http.client
import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from activation import Activated, listening
from harness import Process, fetch, poll, probe_binary, release_binary, system_binary
from ports import reserved_port
from probe_programs import PATIENCE
from prometheus_server import Prometheus
from raw import Client, get

pytestmark = pytest.mark.wait

SERVE = "serve"
TIME_TO_SEND = 0.1
"""Seconds between connection and request after which a stopping agent no longer waits for the
request."""
PATIENT = {"PROBE_PATIENCE": "10"}
"""A stop with enough time to respond to pending requests, however busy the machine is."""
JOBS = 80
INTERVAL = "40s"
"""Jobs of a Prometheus that scrape the same service, two per second on average, each with a timeout
of 40 s."""


def serving(log: Path, sockets: dict[str, socket.socket], **more: str) -> Activated:
    """The probe's agent with these sockets."""
    return Activated([probe_binary(), SERVE], log, sockets, **PATIENCE | more)


def url_of(opened: socket.socket) -> str:
    """The URL of the agent behind a socket."""
    host, port = opened.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    """A listening socket on a free port."""
    with listening() as opened:
        yield opened


def test_a_socket_named_outrider_is_used_by_default(tcp: socket.socket, tmp_path: Path) -> None:
    with listening() as other, Activated(
        [release_binary("quickstart")], tmp_path / "log", {"shop": other, "outrider": tcp}, QUICKSTART_PORT="0"
    ) as service:
        assert service.find(r"(?m)^agent +(\S+)$") == url_of(tcp)
        assert b"outrider_build_info" in fetch(f"{url_of(tcp)}/metrics")


@pytest.mark.parametrize("address", ["systemd", "systemd:metrics"])
def test_a_socket_is_chosen_by_name_or_if_it_is_the_only_one(
    tcp: socket.socket, tmp_path: Path, address: str
) -> None:
    with serving(tmp_path / "log", {"metrics": tcp}, OUTRIDER_ADDRESS=address) as service:
        assert service.find(r"(http\S+)") == url_of(tcp)
        assert b"probe_requests_total" in fetch(f"{url_of(tcp)}/metrics")


def test_sockets_without_names_are_supported(tcp: socket.socket, tmp_path: Path) -> None:
    with serving(tmp_path / "log", {"": tcp}, names=False, OUTRIDER_ADDRESS="systemd"):
        assert b"probe_requests_total" in fetch(f"{url_of(tcp)}/metrics")


def test_ipv6_and_unix_sockets_are_supported(tmp_path: Path) -> None:
    path = str(tmp_path / "outrider.sock")
    with listening(("::1", 0)) as six, serving(tmp_path / "six", {"a": six}, OUTRIDER_ADDRESS="systemd:a") as service:
        assert service.find(r"(http\S+)") == url_of(six)
        assert b"probe" in fetch(f"{url_of(six)}/metrics")
    with listening(path) as unix, serving(tmp_path / "unix", {"a": unix}, OUTRIDER_ADDRESS="systemd:a") as service:
        assert service.find(r"(unix:\S+)") == f"unix:{path}"
        curl = ["curl", "-sS", "--max-time", "60", "--unix-socket", path, "http://localhost/debug"]
        assert b"/debug/probe" in subprocess.run(curl, check=True, capture_output=True, timeout=120).stdout
        service.send_line("stop")
        service.find(r"(stopped)")
        assert Path(path).exists(), "the file of a passed socket belongs to the supervisor"


def test_debug_is_forbidden_on_a_passed_socket_reachable_from_other_machines(tmp_path: Path) -> None:
    with listening(("0.0.0.0", 0)) as wide:
        port = wide.getsockname()[1]
        with serving(
            tmp_path / "log", {"outrider": wide}, OUTRIDER_ADDRESS="systemd", OUTRIDER_DEBUG_ADDRESS="127.0.0.1:0"
        ) as service:
            assert service.find(r"http\S+\n(http\S+)").startswith("http://127.0.0.1:")
            asked = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            asked.request("GET", "/debug")
            assert asked.getresponse().status == 403
            asked.close()


@pytest.mark.parametrize(
    ("sockets", "more"),
    [({}, {}), ({"other": None}, {}), ({"metrics": None}, {"pid": "1"})],
    ids=["none", "another name", "another process"],
)
def test_a_missing_socket_is_reported(
    tcp: socket.socket, tmp_path: Path, sockets: dict[str, None], more: dict[str, str]
) -> None:
    passed = dict.fromkeys(sockets, tcp)
    with serving(tmp_path / "log", passed, OUTRIDER_ADDRESS="systemd:metrics", **more) as service:
        service.find(r"(cannot listen on systemd:metrics: no listening stream socket)")
        # The service keeps running.
        service.send_line("record")
        service.find(r"(?m)^(ok)$")


def test_a_stop_leaves_the_socket_open_for_the_next_agent(tcp: socket.socket, tmp_path: Path) -> None:
    with serving(tmp_path / "log", {"a": tcp}, OUTRIDER_ADDRESS="systemd") as service:
        assert fetch(f"{url_of(tcp)}/metrics")
        service.send_line("stop")
        service.find(r"(stopped)")
        with socket.create_connection(tcp.getsockname(), timeout=60) as waiting:
            waiting.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            with serving(tmp_path / "next", {"a": tcp}, OUTRIDER_ADDRESS="systemd"):
                waiting.settimeout(60)
                assert waiting.recv(12) == b"HTTP/1.1 200"


def test_two_agents_of_a_process_do_not_share_a_socket(tcp: socket.socket, tmp_path: Path) -> None:
    # Each needs a listener, but there is only one socket.
    with serving(
        tmp_path / "log", {"a": tcp}, OUTRIDER_ADDRESS="systemd:a", OUTRIDER_DEBUG_ADDRESS="systemd:a"
    ) as service:
        service.find(r"(cannot listen on systemd:a: address in use)")
        assert fetch(f"{url_of(tcp)}/metrics")


class Scraper(threading.Thread):
    """Scrapes without a pause, over a new connection each time.

    A client that delays between its connection and its request, as on a busy machine, may be
    rejected.
    """

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url, self.is_over = url, threading.Event()
        self.responses, self.failures = 0, list[str]()

    def run(self) -> None:
        while not self.is_over.is_set():
            begun = asked = time.monotonic()
            try:
                with Client(self.url) as client:
                    client.send(get("/metrics", "Connection: close"))
                    asked = time.monotonic()
                    assert client.read_response().status == 200
                self.responses += 1
            except (OSError, AssertionError) as error:
                if asked - begun < TIME_TO_SEND:
                    self.failures.append(repr(error))

    def stop(self) -> None:
        """Ends it after the scrape in progress."""
        self.is_over.set()
        self.join(120)


def test_restarts_lose_no_scrape(tcp: socket.socket, tmp_path: Path) -> None:
    scrapers = [Scraper(url_of(tcp)) for _ in range(2)]
    for scraper in scrapers:
        scraper.start()
    for number in range(5):
        with serving(tmp_path / f"log{number}", {"a": tcp}, OUTRIDER_ADDRESS="systemd", **PATIENT) as service:
            reached = [scraper.responses for scraper in scrapers]
            poll(
                "each scraper has had responses of this process",
                lambda seen=reached: all(now.responses >= then + 10 for now, then in zip(scrapers, seen)) or None,
            )
            service.send_line("stop")
            service.find(r"(stopped)")
    # The last pending scrape gets a response as well.
    with serving(tmp_path / "last", {"a": tcp}, OUTRIDER_ADDRESS="systemd"):
        for scraper in scrapers:
            scraper.stop()
    assert [scraper.failures for scraper in scrapers] == [[], []]


def test_systemd_starts_the_service_on_the_first_scrape(tmp_path: Path) -> None:
    port = reserved_port()
    activate = system_binary("systemd-socket-activate")
    command = [
        activate, f"--listen=127.0.0.1:{port}", "--fdname=outrider", "--setenv=QUICKSTART_PORT=0",
        "--setenv=PATH", release_binary("quickstart"),
    ]
    with Process(command, tmp_path / "log") as supervisor:
        supervisor.find(r"(Listening on 127)")
        assert b"outrider_build_info" in fetch(f"http://127.0.0.1:{port}/metrics", timeout=60)
        assert supervisor.find(r"(?m)^agent +(\S+)$") == f"http://127.0.0.1:{port}"
        assert re.search(rf"Communication attempt on fd|Execing {release_binary('quickstart')}", supervisor.output)


def waiting(listener: socket.socket) -> int:
    """The number of connections not yet accepted (tcp(7), TCP_INFO: `tcpi_unacked` of a
    listener)."""
    information = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)
    return int(struct.unpack_from("I", information, 24)[0])


def test_prometheus_sees_a_restarting_service_as_always_up(tcp: socket.socket, tmp_path: Path) -> None:
    host, port = tcp.getsockname()
    # As systemd's DeferAcceptSec= does: a connection is accepted only once it has sent data.
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
    starts: list[float] = []
    jobs = {f"shop-{number}": f"{host}:{port}/metrics" for number in range(JOBS)}
    with Prometheus(tmp_path / "prometheus", jobs, interval=INTERVAL) as server:
        for number in range(3):
            # Each process finds a scrape that arrived while no process ran.
            poll("a scrape waits", lambda: waiting(tcp) or None, 60)
            log = tmp_path / f"log{number}"
            with serving(log, {"outrider": tcp}, OUTRIDER_ADDRESS="systemd", **PATIENT) as service:
                begun = f"process_start_time_seconds > {max(starts, default=0)}"
                starts.append(float(server.await_samples(begun)[0]["value"][1]))
                service.send_line("stop")
                service.find(r"(stopped)")
        seen = server.query("process_start_time_seconds[10m]")
        up = server.query("up[10m]")
    assert {float(value) for series in seen for _, value in series["values"]} == set(starts)
    assert [value for series in up for _, value in series["values"] if value != "1"] == []
    assert len(up) >= len(starts)
