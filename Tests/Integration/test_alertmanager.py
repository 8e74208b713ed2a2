# SPDX-License-Identifier: Apache-2.0
"""An alert and its resolution, for a service that dies and restarts, through Prometheus and
Alertmanager to a webhook."""

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from alerting import Alertmanager, Webhook, moment
from monitored_services import quick_rules
from ports import reserved_port
from prometheus_server import Prometheus
from storefront_lab import Storefront

pytestmark = pytest.mark.wait


def test_a_service_that_dies_and_restarts_fires_an_alert_and_resolves_it(tmp_path: Path) -> None:
    rules = quick_rules("outrider.rules.yml", tmp_path)
    with ExitStack() as stack:
        webhook = stack.enter_context(Webhook())
        alertmanager = stack.enter_context(Alertmanager(tmp_path / "alertmanager", webhook.target))
        # It restarts at the same address, so its port has to stay reserved.
        service = Storefront(tmp_path / "first.log", agent=f"127.0.0.1:{reserved_port()}")
        with service, Storefront(tmp_path / "other.log") as other:
            # A second instance stays up: a job without any would raise one alert for the whole job.
            both = {"shop": {"static_configs": [{"targets": [service.target, other.target]}]}}
            server = stack.enter_context(Prometheus(
                tmp_path / "prometheus", {"shop": f"{service.target}/metrics"}, options=both, rules=[rules],
                alertmanager=alertmanager.target, interval="1s"))
            server.await_samples("count(outrider_build_info) == 2")
            service.popen.send_signal(signal.SIGKILL)
            alert = webhook.await_alert("OutriderScrapeFailing", "firing", service.target)
            own = {"job": "shop", "instance": service.target}
            assert alert["labels"] == own | {"alertname": "OutriderScrapeFailing", "severity": "critical"}
            assert alert["annotations"]["summary"] == f"scrapes of {service.target} of shop fail"
            assert alert["annotations"]["runbook_url"].endswith("/docs/runbooks/OutriderScrapeFailing.md")

            with Storefront(tmp_path / "second.log", agent=service.target):
                over = webhook.await_alert("OutriderScrapeFailing", "resolved", service.target)
                assert over["labels"] == alert["labels"] and over["startsAt"] == alert["startsAt"]
                assert moment(over["endsAt"]) > moment(over["startsAt"])
