# SPDX-License-Identifier: Apache-2.0
"""Debian's Alertmanager, and a webhook that receives its notifications."""

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
"""Seconds after which a notification counts as missing."""


def moment(text: str) -> datetime:
    """Parses a time of Alertmanager, whose number of digits varies, so that the text cannot be
    compared."""
    # A datetime holds six digits of a second.
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))


class Webhook(LocalServer):
    """Keeps the notifications of Alertmanager."""

    def __init__(self) -> None:
        messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self.messages = messages

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                messages.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

        super().__init__(Handler)

    def await_alert(self, alert: str, status: str, instance: str) -> dict[str, Any]:
        """The first notification that this alert of an instance is in this state; skips other
        alerts."""
        own = {"alertname": alert, "instance": instance}
        while True:
            message = self.messages.get(timeout=LIMIT)
            for found in message["alerts"]:
                if found["status"] == status and own.items() <= found["labels"].items():
                    assert message["receiver"] == "on-call"
                    alert_found: dict[str, Any] = found
                    return alert_found


class Alertmanager(Process):
    """Debian's Alertmanager with the example's configuration, short delays, and the test's
    webhook."""

    def __init__(self, folder: Path, webhook: str) -> None:
        self.target = f"127.0.0.1:{reserved_port()}"
        config = (ROOT / "examples/monitoring/alertmanager.yml").read_text(encoding="utf-8")
        hurry = {"alerts.example.internal": webhook, "group_wait: 30s": "group_wait: 100ms", "group_interval: 5m": "group_interval: 1s"}
        for old, new in hurry.items():
            assert old in config
            config = config.replace(old, new)
        folder.mkdir()
        (folder / "alertmanager.yml").write_text(config)
        super().__init__(
            [
                system_binary("prometheus-alertmanager"), f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'data'}", f"--web.listen-address={self.target}", "--cluster.listen-address=",
            ],
            folder / "log",
        )
        poll("Alertmanager is ready", lambda: fetch(f"http://{self.target}/-/ready") or True, LIMIT)
