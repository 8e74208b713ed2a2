# SPDX-License-Identifier: Apache-2.0
"""An alert and its end, from a service that dies and comes back, through Prometheus and Alertmanager, to a webhook."""

import json
import queue
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness import ROOT, Process, fetch, free_port, poll, system_binary
from local_server import LocalServer, QuietHandler
from monitored import quick_rules
from prometheus_server import Prometheus
from storefront_lab import Storefront


class Webhook(LocalServer):
    """Keeps what Alertmanager tells."""

    def __init__(self) -> None:
        told: queue.Queue[dict[str, Any]] = queue.Queue()
        self.told = told

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

        super().__init__(Handler)

    def told_of(self, alert: str, status: str) -> dict[str, Any]:
        """The first alert of a message about this one in this state; other messages are passed over."""
        while (message := self.told.get(timeout=30))["groupLabels"]["alertname"] != alert or message["status"] != status:
            pass
        assert message["receiver"] == "on-call"
        found: dict[str, Any] = message["alerts"][0]
        return found


class Alertmanager(Process):
    """Debian's Alertmanager with the configuration of the example, in a hurry, and a webhook of the test's."""

    def __init__(self, place: Path, webhook: str) -> None:
        self.target = f"127.0.0.1:{free_port()}"
        config = (ROOT / "examples/monitoring/alertmanager.yml").read_text(encoding="utf-8")
        hurry = {"alerts.example.internal": webhook, "group_wait: 30s": "group_wait: 100ms", "group_interval: 5m": "group_interval: 1s"}
        for old, new in hurry.items():
            assert old in config
            config = config.replace(old, new)
        place.mkdir()
        (place / "alertmanager.yml").write_text(config)
        super().__init__(
            [
                system_binary("prometheus-alertmanager"), f"--config.file={place / 'alertmanager.yml'}",
                f"--storage.path={place / 'data'}", f"--web.listen-address={self.target}", "--cluster.listen-address=",
            ],
            place / "log",
        )
        poll("Alertmanager is ready", lambda: fetch(f"http://{self.target}/-/ready") or True)


def test_a_service_that_dies_and_comes_back_is_told_of_twice(tmp_path: Path) -> None:
    rules = quick_rules("outrider.rules.yml", tmp_path)
    with ExitStack() as stack:
        webhook = stack.enter_context(Webhook())
        alertmanager = stack.enter_context(Alertmanager(tmp_path / "alertmanager", webhook.target))
        service = Storefront(tmp_path / "first.log")
        with service, Storefront(tmp_path / "other.log") as other:
            # Another instance stays: a job without any would be told of as such, once for all of them.
            both = {"shop": {"static_configs": [{"targets": [service.target, other.target]}]}}
            server = stack.enter_context(Prometheus(
                tmp_path / "prometheus", {"shop": f"{service.target}/metrics"}, options=both, rules=[rules],
                alertmanager=alertmanager.target))
            server.await_samples("count(outrider_build_info) == 2")
            service.popen.send_signal(signal.SIGKILL)
            alert = webhook.told_of("OutriderScrapeFailing", "firing")
            own = {"job": "shop", "instance": service.target}
            assert alert["labels"] == own | {"alertname": "OutriderScrapeFailing", "severity": "critical"}
            assert alert["annotations"]["summary"] == f"{service.target} of shop is not scraped"
            assert alert["annotations"]["runbook_url"].endswith("/docs/runbooks/OutriderScrapeFailing.md")

            with Storefront(tmp_path / "second.log", agent=service.target):
                over = webhook.told_of("OutriderScrapeFailing", "resolved")
                assert over["labels"] == alert["labels"] and over["endsAt"] > over["startsAt"] == alert["startsAt"]
