# SPDX-License-Identifier: Apache-2.0
"""Draws a dashboard from live data: our own renderer, close enough to Grafana's to judge what a
reader will see."""

import html
import math
import re
from collections.abc import Mapping
from typing import Any

from boards import Board, resolved
from prometheus_server import PrometheusAPI

COLUMN, LINE, GAP, FOOT = 66, 34, 6, 24
"""Pixels of a grid column, of a grid row, between panels, and below them."""
COLOURS = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0", "#37872d", "#fade2a")
NAMED = {"green": "#73bf69", "yellow": "#f2cc0c", "red": "#f2495c", "text": "#d8d9da"}
Points = list[tuple[float, float]]
STYLE = """
body { margin: 0; background: #111217; color: #ccccdc; font: 12px "DejaVu Sans", sans-serif; position: relative }
.panel { position: absolute; background: #181b1f; border: 1px solid #25282e; border-radius: 3px; overflow: hidden }
.panel h2 { font-size: 12px; font-weight: 500; margin: 6px 8px 2px } .row { position: absolute; font-size: 14px; padding: 6px 2px }
table { border-collapse: collapse; width: 100%; font-size: 10px } td, th { text-align: right; padding: 1px 8px; white-space: nowrap }
td:first-child, th:first-child { text-align: left; max-width: 220px; overflow: hidden } th { color: #7b8087; font-weight: 400 }
.big { font-size: 30px; text-align: center; font-weight: 500; white-space: nowrap } .none { color: #7b8087; text-align: center; padding: 40px }
.foot { position: absolute; color: #7b8087; padding: 4px 8px }
"""


def formatted(value: float, unit: str) -> str:
    """A value with its unit, in three digits."""
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        for bound, name, factor in ((1e-3, "µs", 1e6), (1, "ms", 1e3), (120, "s", 1), (7200, "min", 1 / 60)):
            if abs(value) < bound:
                return f"{value * factor:.3g} {name}"
        return f"{value / 3600:.3g} h"
    base, ends = (1024.0, ("", "Ki", "Mi", "Gi")) if unit in {"bytes", "Bps"} else (1000.0, ("", "k", "M", "G"))
    power = 0
    while abs(value) >= base and power < 3:
        value, power = value / base, power + 1
    after = {"bytes": "B", "Bps": "B/s", "reqps": "req/s", "cps": "/s", "short": ""}[unit]
    return f"{value:.3g} {ends[power]}{after}".strip()


def named(legend: str, labels: Mapping[str, str]) -> str:
    """The legend text of a series."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend).strip() or "–"


def bottom(panel: dict[str, Any]) -> int:
    """The grid row below a panel."""
    grid = panel["gridPos"]
    return int(grid["y"] + grid["h"])


class Drawing:
    """Draws panels for one time range of a server, and for some jobs."""

    def __init__(self, server: PrometheusAPI, end: float, seconds: int, window: str, jobs: str = ".+", step: int = 1) -> None:
        self.server, self.end, self.seconds, self.window, self.jobs, self.step = server, end, seconds, window, jobs, step

    def series(self, panel: dict[str, Any]) -> list[tuple[str, Points]]:
        """Every series of a panel with its points."""
        found = []
        for target in panel["targets"]:
            if target["legendFormat"] == "native":
                continue
            response = self.server.api(
                "query_range", query=resolved(target["expr"], self.window, self.jobs), start=str(self.end - self.seconds), end=str(self.end),
                step=str(self.step),
            )["result"]
            for one in response:
                points = [(float(at), float(value)) for at, value in one.get("values", ()) if math.isfinite(float(value))]
                if points:
                    found.append((named(target["legendFormat"], one["metric"]), points))
        return found

    def x(self, at: float, width: float) -> float:
        """The horizontal position of a time."""
        return (at - self.end + self.seconds) / self.seconds * width

    def line(self, points: Points, most: float, width: float, height: float, colour: str, base: Points | None = None) -> str:
        """A line, and the filled area between it and its base."""
        def point_text(at: float, value: float) -> str:
            return f"{self.x(at, width):.1f},{height - value / most * height:.1f}"

        over = " ".join(point_text(*point) for point in points)
        under = " ".join(point_text(*point) for point in reversed(base or [(at, 0.0) for at, _ in points]))
        return (
            f'<polygon points="{over} {under}" fill="{colour}" opacity="{0.35 if base else 0.08}"/>'
            f'<polyline points="{over}" fill="none" stroke="{colour}" stroke-width="1.2"/>'
        )

    def graph(self, panel: dict[str, Any], width: int, height: int) -> str:
        """A line chart, with a table as its legend."""
        found = self.series(panel)
        if not found:
            return '<div class="none">No data</div>'
        unit = panel["fieldConfig"]["defaults"]["unit"]
        found.sort(key=lambda one: -max(value for _, value in one[1]))
        shown = found[: max(2, (height - 150) // 14 + 3)]
        is_stacked = panel["fieldConfig"]["defaults"]["custom"].get("stacking", {}).get("mode") == "normal"
        lines, floor, top = [], dict[float, float](), 0.0
        for index, (_, points) in enumerate(found):
            base = None
            if is_stacked:
                base = [(at, floor.get(at, 0.0)) for at, _ in points]
                points = [(at, floor.get(at, 0.0) + value) for at, value in points]
                floor.update(points)
            top = max(top, max(value for _, value in points))
            lines.append((points, COLOURS[index % len(COLOURS)], base))
        top = top * 1.1 or 1
        area_height = height - 14 * len(shown) - 52
        area_width = width - 80
        marks = "".join(
            f'<line x1="0" x2="{area_width}" y1="{area_height * i / 4:.1f}" y2="{area_height * i / 4:.1f}" stroke="#2c3235"/>'
            f'<text x="-6" y="{area_height * i / 4 + 4:.1f}" fill="#9fa7b3" font-size="9" text-anchor="end">{formatted(top * (4 - i) / 4, unit)}</text>'
            for i in range(5)
        )
        drawn = "".join(self.line(points, top, area_width, area_height, colour, base) for points, colour, base in reversed(lines))
        for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])[1:]:
            if step["value"] <= top:
                y = area_height - step["value"] / top * area_height
                drawn += f'<line x1="0" x2="{area_width}" y1="{y:.1f}" y2="{y:.1f}" stroke="{NAMED[step["color"]]}" stroke-dasharray="6 4"/>'
        rows = "".join(
            f'<tr><td><span style="color:{COLOURS[index % len(COLOURS)]}">▬</span> {html.escape(name)}</td>'
            + "".join(f"<td>{formatted(value, unit)}</td>" for value in
                      (points[-1][1], sum(v for _, v in points) / len(points), max(v for _, v in points))) + "</tr>"
            for index, (name, points) in enumerate(shown)
        )
        return (
            f'<svg width="{width}" height="{area_height + 12}"><g transform="translate(64,6)">{marks}{drawn}</g></svg>'
            f"<table><tr><th>Name</th><th>Last</th><th>Mean</th><th>Max</th></tr>{rows}</table>"
        )

    def stat(self, panel: dict[str, Any], width: int, height: int) -> str:
        """The last values, as large as fits, and a sparkline of the first."""
        found = self.series(panel)
        if not found:
            return '<div class="none">No data</div>'
        defaults = panel["fieldConfig"]["defaults"]
        words = {}
        for mapping in defaults.get("mappings", ()):
            words |= {float(value): (shown["text"], shown["color"]) for value, shown in mapping["options"].items()}
        parts = []
        for name, points in found:
            last = points[-1][1]
            colour = "green"
            for step in defaults.get("thresholds", {}).get("steps", [])[1:]:
                colour = step["color"] if last >= step["value"] else colour
            text, colour = words.get(last, (formatted(last, defaults["unit"]), colour))
            size = min(34, int((width - 20) / max(len(text), 4) * 1.5)) if len(found) == 1 else 13
            label = f'{html.escape(name)} ' if len(found) > 1 else ""
            parts.append(f'<div class="big" style="font-size:{size}px;color:{NAMED[colour]}">{label}{html.escape(text)}</div>')
        points = found[0][1]
        top = max(value for _, value in points) * 1.1 or 1
        spark = self.line(points, top, width, 34, "#73bf69") if len(found) == 1 else ""
        return "".join(parts) + f'<svg width="{width}" height="34" style="position:absolute;bottom:0;left:0">{spark}</svg>'

    def heatmap(self, panel: dict[str, Any], width: int, height: int) -> str:
        """Cells by time and bucket."""
        cumulated: dict[float, dict[float, float]] = {}
        for name, points in self.series(panel):
            cumulated[float(name)] = dict(points)
        bounds = sorted(cumulated)
        cells: dict[tuple[float, int], float] = {}
        for index, bound in enumerate(bounds):
            below = cumulated[bounds[index - 1]] if index else {}
            for at, value in cumulated[bound].items():
                cells[at, index] = max(0.0, value - below.get(at, 0.0))
        # The difference of two equal rates is a rounding error.
        cells = {cell: value for cell, value in cells.items() if value > 1e-6}
        most = max(cells.values(), default=1)
        used = sorted({index for _, index in cells})
        if not used:
            return '<div class="none">No data</div>'
        first, last = used[0], used[-1]
        tall, wide = (height - 60) / (last - first + 1), (width - 80) / (self.seconds / self.step + 1)
        drawn = "".join(
            f'<rect x="{self.x(at, width - 80):.1f}" y="{(last - index) * tall:.1f}" width="{wide - 0.5:.1f}" height="{tall - 0.5:.1f}" '
            f'fill="#ff780a" opacity="{0.12 + 0.88 * math.sqrt(value / most):.2f}"/>'
            for (at, index), value in cells.items()
        )
        unit = panel["fieldConfig"]["defaults"]["unit"]
        every = max(1, (last - first + 1) // 10)
        names = "".join(
            f'<text x="-6" y="{(last - index) * tall + 9:.1f}" fill="#9fa7b3" font-size="9" text-anchor="end">'
            f'{formatted(bounds[index], unit) if math.isfinite(bounds[index]) else "∞"}</text>'
            for index in range(first, last + 1, every)
        )
        return f'<svg width="{width}" height="{height - 40}"><g transform="translate(64,6)">{names}{drawn}</g></svg>'

    def table(self, panel: dict[str, Any], width: int, height: int) -> str:
        """A row for each target."""
        names = panel["transformations"][1]["options"]["renameByName"]
        units = {one["matcher"]["options"]: one["properties"][0]["value"] for one in panel["fieldConfig"]["overrides"]}
        rows: dict[tuple[str, str], dict[str, str]] = {}
        for target in panel["targets"]:
            name = names[f"Value #{target['refId']}"]
            for sample in self.server.api("query", query=resolved(target["expr"], self.window, self.jobs), time=str(self.end))["result"]:
                value = float(sample["value"][1])
                row = rows.setdefault((sample["metric"]["job"], sample["metric"]["instance"]), {})
                row[name] = formatted(value, units[name]) if math.isfinite(value) else ""
        columns = [names[key] for key in names if key.startswith("Value")]
        head = "".join(f"<th>{name}</th>" for name in ["Job", "Instance", *columns])
        body = "".join(
            f"<tr><td>{job}</td><td>{instance}</td>" + "".join(f"<td>{row.get(name, '')}</td>" for name in columns) + "</tr>"
            for (job, instance), row in sorted(rows.items())
        )
        return f'<table style="font-size:12px"><tr>{head}</tr>{body}</table>'

    def panel(self, panel: dict[str, Any]) -> str:
        """A panel at its grid position."""
        grid = panel["gridPos"]
        width, height = grid["w"] * COLUMN - GAP, grid["h"] * LINE - GAP
        box = f"left:{grid['x'] * COLUMN}px;top:{grid['y'] * LINE}px;width:{width}px;height:{height}px"
        if panel["type"] == "row":
            return f'<div class="row" style="{box}">▾ {html.escape(panel["title"])}</div>'
        draw = {"timeseries": self.graph, "stat": self.stat, "heatmap": self.heatmap, "table": self.table}[panel["type"]]
        return f'<div class="panel" style="{box}"><h2>{html.escape(panel["title"])}</h2>{draw(panel, width, height)}</div>'

    def page(self, board: Board, lines: int | None = None) -> tuple[str, int]:
        """The dashboard, or its first rows, and its height in pixels."""
        panels = [panel for panel in board["panels"] if lines is None or bottom(panel) <= lines]
        while panels[-1]["type"] == "row":
            panels.pop()
        end = max(map(bottom, panels)) * LINE
        words = f"{board['title']}: drawn from live data by Outrider's own tests, not by Grafana."
        content = (
            f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><body style='width:{24 * COLUMN}px;height:{end + FOOT}px'>"
            + "".join(map(self.panel, panels)) + f'<div class="foot" style="top:{end}px">{html.escape(words)}</div></body>'
        )
        return content, end + FOOT
