# SPDX-License-Identifier: Apache-2.0
"""Metrics of a live service's agent, summed over labels."""

from exposition import Exposition
from harness import fetch


class Metrics:
    """A scrape, with sums over all series that have the given labels."""

    def __init__(self, agent: str) -> None:
        body = fetch(f"{agent}/metrics")
        exposition = Exposition(body, [("Content-Type", "text/plain; version=0.0.4")])
        self.samples = [sample for family in exposition.families for sample in family.samples]

    def sum(self, name: str, **labels: str) -> float:
        """The sum of the series with this name and these labels; `status=` and `method=` are
        HTTP's."""
        short = {"status": "http_response_status_code", "method": "http_request_method"}
        wanted = {short.get(name, name): value for name, value in labels.items()}.items()
        found = [s.value for s in self.samples if s.name == name and wanted <= s.labels.items()]
        return sum(found)

    def requests(self, **labels: str) -> float:
        """The number of requests with a response."""
        return self.sum("http_server_request_duration_seconds_count", **labels)

    def mean(self, histogram: str, **labels: str) -> float:
        """The mean of a histogram; 0 if it is empty."""
        count = self.sum(f"{histogram}_count", **labels)
        return self.sum(f"{histogram}_sum", **labels) / count if count else 0
