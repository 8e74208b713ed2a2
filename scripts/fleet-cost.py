#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the cost of a fleet for its Prometheus server: the numbers in docs/scaling.md.

    scripts/fleet-cost.py                             a thousand instances for three minutes, twice
    scripts/fleet-cost.py --instances 50 --seconds 30   quicker

Debian's Prometheus scrapes one storefront under load as many instances, each with its own label:
once with classic histograms, once with native ones. Needs the packages that `scripts/setup.sh test`
installs.
"""

import argparse
import gzip
import json
import re
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import ROOT, Lab, say

PLACE = ROOT / ".build/fleet-cost"
INTERVAL = 15
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
FORMATS = {"text": "text/plain", "OpenMetrics": "application/openmetrics-text; version=1.0.0", "protobuf": PROTOBUF}
LOAD = """
function init() math.randomseed(7) end
function delay() return math.random(5, 15) end
function request()
  local dice = math.random(100)
  if dice <= 3 then return wrk.format("POST", "/orders?customer=c" .. math.random(1000)) end
  return wrk.format("GET", "/orders/" .. math.random(200))
end
"""
RAW = {
    "requests, 5 min": "sum by (job) (rate(http_server_request_duration_seconds_count[5m]))",
    "p99, 5 min": "histogram_quantile(0.99, sum by (job, le) (rate(http_server_request_duration_seconds_bucket[5m])))",
}
RECORDED = {"requests, recorded": "job:http_server_requests:rate5m"}


class Server:
    """Debian's Prometheus, scraping this many instances."""

    def __init__(self, url: str) -> None:
        self.url = url

    def api(self, path: str, **arguments: str) -> Any:
        """The data of an API response."""
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(arguments)}", timeout=60) as answer:
            return json.load(answer)["data"]

    def number(self, query: str) -> float:
        """The value of a query with one sample."""
        found = self.api("query", query=query)["result"]
        return float(found[0]["value"][1]) if found else 0.0

    def samples(self, query: str) -> tuple[int, float]:
        """The number of samples that a query reads, and its duration in milliseconds."""
        statistics = self.api("query", query=query, stats="all")["stats"]
        return statistics["samples"]["totalQueryableSamples"], 1e3 * statistics["timings"]["evalTotalTime"]


@contextmanager
def prometheus(target: str, instances: int, native: bool) -> Iterator[Server]:
    """A newly started server."""
    folder = PLACE / ("native" if native else "classic")
    subprocess.run(["rm", "-rf", folder], check=True)
    folder.mkdir(parents=True)
    address = "127.0.0.1:19090"
    config = {
        "global": {"scrape_interval": f"{INTERVAL}s", "evaluation_interval": "30s"},
        "rule_files": [str(ROOT / "dashboards/outrider.rules.yml")],
        "scrape_configs": [
            {"job_name": "shop", "static_configs": [
                {"targets": [target], "labels": {"instance": f"10.0.{n // 250}.{n % 250}:9464"}} for n in range(instances)]},
            {"job_name": "prometheus", "static_configs": [{"targets": [address]}]},
        ],
    }
    (folder / "prometheus.json").write_text(json.dumps(config))
    command = ["prometheus", f"--config.file={folder / 'prometheus.json'}", f"--storage.tsdb.path={folder / 'data'}",
               f"--web.listen-address={address}", *(["--enable-feature=native-histograms"] if native else [])]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield Server(f"http://{address}")
    finally:
        process.terminate()
        process.wait(60)


def sizes(lab: Lab) -> None:
    """Prints the size of a scrape, by format and compression."""
    say(f"{'format':14}{'bytes':>10}{'gzip':>10}{'samples':>10}")
    for name, accept in FORMATS.items():
        request = urllib.request.Request(f"{lab.agent}/metrics", headers={"Accept": accept, "Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            packed = answer.read()
        body = gzip.decompress(packed)
        count = "" if name == "protobuf" else len(re.findall(rb"(?m)^[^#]", body))
        say(f"{name:14}{len(body):10}{len(packed):10}{count:>10}")


def watched(server: Server, seconds: int) -> dict[str, float]:
    """The server's resources and load, over the last half of the time."""
    time.sleep(seconds)
    own, window = '{job="prometheus"}', f"[{max(60, seconds // 2)}s]"
    instances = server.number('count(up{job="shop"} == 1)')
    return {
        "instances": instances,
        "series": server.number(f"prometheus_tsdb_head_series{own}"),
        "series per instance": server.number('max(scrape_samples_post_metric_relabeling{job="shop"})'),
        "samples per second": server.number(f"rate(prometheus_tsdb_head_samples_appended_total{own}{window})"),
        "cores": server.number(f"rate(process_cpu_seconds_total{own}{window})"),
        "MB resident": server.number(f"process_resident_memory_bytes{own}") / 1e6,
        "longest scrape, ms": 1e3 * server.number('max(scrape_duration_seconds{job="shop"})'),
        "rules, s": server.number(f"sum(prometheus_rule_group_last_duration_seconds{own})"),
    }


def measure(native: bool, instances: int, seconds: int) -> None:
    """Measures a storefront with one kind of histograms, and its server."""
    say(f"\n{'native' if native else 'classic'} histograms")
    lab = Lab("storefront", PLACE, OUTRIDER_HISTOGRAMS="native" if native else "classic", STOREFRONT_HOST="127.0.0.1")
    (PLACE / "load.lua").write_text(LOAD)
    load = threading.Thread(target=lab.load, args=(seconds + 30, "-s", str(PLACE / "load.lua"), lab.service), daemon=True)
    try:
        load.start()
        time.sleep(5)
        sizes(lab)
        with prometheus(urllib.parse.urlsplit(lab.agent).netloc, instances, native) as server:
            found = watched(server, seconds)
            for name, value in found.items():
                say(f"{name:24}{value:14,.2f}")
            say(f"{'KB per series':24}{found['MB resident'] * 1e3 / found['series']:14,.2f}")
            for name, query in ({} if native else RAW | RECORDED).items():
                count, took = server.samples(query)
                say(f"{name:24}{count:14,} samples read, {took:.1f} ms")
            status = Path(f"/proc/{lab.process.pid}/status").read_text()
            resident = int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1e3
            say(f"{'shop, MB resident':24}{resident:14.1f}")
        load.join()
    finally:
        lab.stop()


def main() -> None:
    """Measures both kinds."""
    parser = argparse.ArgumentParser(description="Measures what a fleet costs Prometheus.")
    parser.add_argument("--instances", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=180)
    arguments = parser.parse_args()
    PLACE.mkdir(parents=True, exist_ok=True)
    for native in (False, True):
        measure(native, arguments.instances, arguments.seconds)


if __name__ == "__main__":
    main()
