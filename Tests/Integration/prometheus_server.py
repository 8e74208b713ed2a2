# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus server, and static pages for it to scrape."""

import json
import time
import urllib.error
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exposition import TEXT, Exposition
from harness import Process, fetch, poll
from local_server import LocalServer, QuietHandler
from ports import reserved_port
from prometheus_releases import SYSTEM, Release, release


class PrometheusAPI:
    """The HTTP API of a running Prometheus server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def api(self, path: str, **arguments: str) -> Any:
        """The data of an API response; fails the test if the query is rejected."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        try:
            return json.loads(fetch(url, timeout=60))["data"]
        except urllib.error.HTTPError as error:
            # VictoriaMetrics responds with 422.
            if error.code in (400, 422):
                raise AssertionError(f"{arguments} was rejected: {error.read().decode()}") from None
            raise

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """The samples of an instant query, now or at a given time."""
        moment = {} if at is None else {"time": f"{at:.3f}"}
        samples: list[dict[str, Any]] = self.api("query", query=expression, **moment)["result"]
        return samples

    def await_samples(self, expression: str) -> list[dict[str, Any]]:
        """Waits until an instant query has samples, and returns them."""
        return poll(f"{expression} has samples", lambda: self.query(expression) or None)

    def recorded(self, selector: str, window: str = "1h") -> list[tuple[float, float]]:
        """The stored samples of one series, each with its time; empty if the series does not
        exist."""
        found = self.query(f"{selector}[{window}]")
        assert len(found) <= 1
        return [(at, float(value)) for series in found for at, value in series["values"]]

    def failed_scrapes(self, target: str, limit: float) -> list[float]:
        """The times of scrapes of a target that failed in less than their time limit, in seconds.

        A slower scrape fails because the machine is busy with other programs.
        """
        durations = dict(self.recorded(f"scrape_duration_seconds{{{target}}}"))
        return [at for at, up in self.recorded(f"up{{{target}}}") if up == 0 and durations.get(at, 0) < 0.95 * limit]

    def exemplars(self, expression: str) -> list[dict[str, Any]]:
        """The exemplars of the selected series within half an hour of now, each with its series'
        labels."""
        now = time.time()
        span = {"start": f"{now - 1800:.3f}", "end": f"{now + 1800:.3f}"}
        found = self.api("query_exemplars", query=expression, **span)
        return [
            {"series": series["seriesLabels"], **one}
            for series in found
            for one in series["exemplars"]
        ]

    def await_up(self, job: str) -> None:
        """Waits for a successful scrape of a job; on failure reports the error of the last
        scrape."""
        last = "none"

        def attempt() -> bool | None:
            nonlocal last
            for target in self.api("targets", state="active")["activeTargets"]:
                if target["labels"]["job"] == job:
                    last = f"{target['health']}, {target['lastError'] or 'no error'}"
                    return target["health"] == "up" or None
            return None

        try:
            poll(f"a scrape of {job} succeeds", attempt)
        except AssertionError as error:
            raise AssertionError(f"{error}; last scrape: {last}") from None


def scrape(name: str, target_path: str) -> dict[str, Any]:
    """The scrape configuration of a job with one target."""
    target, _, path = target_path.partition("/")
    return {
        "job_name": name,
        "metrics_path": f"/{path}",
        "static_configs": [{"targets": [target]}],
    }


class Prometheus(Process, PrometheusAPI):
    """A Prometheus server with its own configuration and database."""

    INTERVAL = "500ms"

    def __init__(
        self,
        folder: Path,
        jobs: Mapping[str, str],
        scrapes_itself: bool = False,
        *,
        of: Release | None = None,
        flags: Sequence[str] = (),
        options: Mapping[str, Mapping[str, Any]] | None = None,
        interval: str = INTERVAL,
        rules: Sequence[Path] = (),
        alertmanager: str = "",
        remote_write: str = "",
        keeps: bool = False,
    ) -> None:
        """Starts the system's server, or that of another release, with additional flags.

        `jobs` maps names to targets; `options` adds to a job's scrape configuration. Alerts of the
        rules go to the Alertmanager at `alertmanager`, host and port. With `remote_write`, the URL
        of another server, it stores nothing itself unless `keeps`: it runs in agent mode, which
        serves no queries.
        """
        is_agent = remote_write and not keeps
        folder.mkdir(parents=True, exist_ok=True)
        self.release = of or release(SYSTEM)
        own = f"127.0.0.1:{reserved_port()}"
        PrometheusAPI.__init__(self, f"http://{own}")
        more = options or {}
        scrapes = [scrape(name, target_path) | more.get(name, {}) for name, target_path in jobs.items()]
        if scrapes_itself:
            scrapes.append(scrape("prometheus", f"{own}/metrics"))
        times = {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}
        content: dict[str, Any] = {"global": times, "scrape_configs": scrapes}
        if rules:
            content["rule_files"] = [str(path) for path in rules]
        if remote_write:
            # One queue, so that samples arrive soon and in the order of their scrapes.
            queue = {"max_shards": 1, "max_samples_per_send": 2_000, "batch_send_deadline": "200ms"}
            content["remote_write"] = [{"url": remote_write, "send_exemplars": True, "queue_config": queue}]
        if alertmanager:
            content["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
        # JSON is YAML as well.
        config = folder / "prometheus.yml"
        config.write_text(json.dumps(content))
        Process.__init__(
            self,
            [
                self.release.binary,
                f"--config.file={config}",
                *(["--enable-feature=agent"] if is_agent else []),
                f"--storage.{'agent' if is_agent else 'tsdb'}.path={folder / 'data'}",
                f"--web.listen-address={own}",
                *flags,
            ],
            folder / "prometheus.log",
        )


class StaticPages(LocalServer):
    """Serves expositions by path.

    Bytes are served as the text format, an Exposition with its own content type.
    """

    def __init__(self, pages: Mapping[str, bytes | Exposition]) -> None:
        class Handler(QuietHandler):
            def do_GET(self) -> None:
                page = pages[self.path]
                body = page if isinstance(page, bytes) else page.body
                self.send_response(200)
                content_type = TEXT if isinstance(page, bytes) else page.content_type
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        super().__init__(Handler)
