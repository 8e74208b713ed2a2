# SPDX-License-Identifier: Apache-2.0
"""Grafana's published JSON schemas, where they lie beside the clone, and Grafana's own typed model, which is always here."""

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from jsonschema import validators

from boards import Board, panels_of
from harness import ROOT

SCHEMAS = next(iter(sorted(ROOT.parent.glob("*/schemas/grafana"))), None)
"""A folder with the schemas of grafana-foundation-sdk; None where there is none."""
ANYTHING = {"type": "object", "additionalProperties": {}}
"""How the schemas write `any`; a unit, say, is text."""


def anything(node: Any) -> Any:
    """A schema in which `any` is any."""
    if isinstance(node, list):
        return [anything(item) for item in node]
    if not isinstance(node, dict):
        return node
    if {key: node[key] for key in ANYTHING if key in node} == ANYTHING and "properties" not in node:
        return {}
    return {key: anything(value) for key, value in node.items()}


def schema(folder: Path, kind: str, definition: str) -> Any:
    """A validator of one definition."""
    content = anything(json.loads((folder / f"{kind}.jsonschema.json").read_text()))
    content["$ref"] = f"#/definitions/{definition}"
    return validators.validator_for(content)(content)


def said(errors: Any, where: str) -> list[str]:
    """What is wrong, and where."""
    return [f"{where}: {list(error.path)}: {error.message[:300]}" for error in errors]


def against_schemas(board: Board) -> list[str]:
    """What of a dashboard its schemas forbid: of itself, its panels' options, its queries, its units."""
    assert SCHEMAS is not None
    found = said(schema(SCHEMAS, "dashboard", "Dashboard").iter_errors(board), "dashboard")
    query = schema(SCHEMAS, "prometheus", "Dataquery")
    units = {one.get("const") for one in json.loads((SCHEMAS / "units.jsonschema.json").read_text())["definitions"].values()}
    for panel in panels_of(board):
        options = schema(SCHEMAS, panel["type"], "Options")
        found += said(options.iter_errors(panel["options"]), panel["title"])
        if panel["type"] in {"timeseries", "table"}:
            custom = schema(SCHEMAS, panel["type"], "FieldConfig")
            found += said(custom.iter_errors(panel["fieldConfig"]["defaults"].get("custom", {})), panel["title"])
        for target in panel["targets"]:
            found += said(query.iter_errors(target), panel["title"])
        if panel["fieldConfig"]["defaults"].get("unit") not in units:
            found.append(f"{panel['title']}: no unit of Grafana's")
    return found


def against_model(board: Board) -> list[str]:
    """What Grafana's own model does not keep when it reads a dashboard: keys that it does not know."""
    bare = json.loads(json.dumps(board))
    # The model has no name for what Prometheus' annotations are called on the dashboard.
    for annotation in bare["annotations"]["list"]:
        annotation.pop("titleFormat", None)
    kept = json.loads(json.dumps(model.Dashboard.from_json(bare), cls=JSONEncoder))
    return list(lost(bare, kept, ""))


def lost(given: Any, kept: Any, where: str) -> Any:
    """What is in the one and not in the other."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            yield from lost(value, kept.get(key), f"{where}.{key}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for index, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from lost(one, other, f"{where}[{index}]")
    elif given != kept:
        yield f"{where}: {given!r} is read as {kept!r}"
