# SPDX-License-Identifier: Apache-2.0
"""Debian's Alertmanager, and a webhook that it tells."""

import json
import queue
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import ROOT, Process, fetch, poll, system_binary
from local_server import LocalServer, QuietHandler
from ports import reserved_port

LIMIT = 120
"""Seconds after which a message that did not come is missing."""


def moment(text: str) -> datetime:
    """A time as Alertmanager writes it: as text it cannot be compared, for it has as many digits as it needs."""
    # More digits than six are more than a datetime has.
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))


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

    def told_of(self, alert: str, status: str, instance: str) -> dict[str, Any]:
        """The first word that this alert of an instance is in this state; other alerts are passed over."""
        own = {"alertname": alert, "instance": instance}
        while True:
            message = self.told.get(timeout=LIMIT)
            for found in message["alerts"]:
                if found["status"] == status and own.items() <= found["labels"].items():
                    assert message["receiver"] == "on-call"
                    told: dict[str, Any] = found
                    return told


class Alertmanager(Process):
    """Debian's Alertmanager with the configuration of the example, in a hurry, and a webhook of the test's."""

    def __init__(self, place: Path, webhook: str) -> None:
        self.target = f"127.0.0.1:{reserved_port()}"
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
        poll("Alertmanager is ready", lambda: fetch(f"http://{self.target}/-/ready") or True, LIMIT)
