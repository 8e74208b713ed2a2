# SPDX-License-Identifier: Apache-2.0
"""Checks of dashboards against Grafana's JSON schemas, if they are beside the clone, and against
Grafana's typed Python model, which is always installed."""

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from jsonschema import validators

from boards import Board, panels_of
from harness import ROOT

SCHEMAS = next(iter(sorted(ROOT.parent.glob("*/schemas/grafana"))), None)
"""The folder of grafana-foundation-sdk's schemas; None if it is absent."""
ANYTHING = {"type": "object", "additionalProperties": {}}
"""How the schemas write `any`, although the value may be text, such as a unit."""


def anything(node: Any) -> Any:
    """The schema with each `any` replaced by one that accepts everything."""
    if isinstance(node, list):
        return [anything(item) for item in node]
    if not isinstance(node, dict):
        return node
    if {key: node[key] for key in ANYTHING if key in node} == ANYTHING and "properties" not in node:
        return {}
    return {key: anything(value) for key, value in node.items()}


def schema(folder: Path, kind: str, definition: str) -> Any:
    """A validator for one definition."""
    content = anything(json.loads((folder / f"{kind}.jsonschema.json").read_text()))
    content["$ref"] = f"#/definitions/{definition}"
    return validators.validator_for(content)(content)


def messages(errors: Any, where: str) -> list[str]:
    """The errors, each with its location."""
    return [f"{where}: {list(error.path)}: {error.message[:300]}" for error in errors]


def against_schemas(board: Board) -> list[str]:
    """Violations of the schemas, in a dashboard, its panels' options, its queries and its units."""
    assert SCHEMAS is not None
    found = messages(schema(SCHEMAS, "dashboard", "Dashboard").iter_errors(board), "dashboard")
    query = schema(SCHEMAS, "prometheus", "Dataquery")
    units = {one.get("const") for one in json.loads((SCHEMAS / "units.jsonschema.json").read_text())["definitions"].values()}
    for panel in panels_of(board):
        options = schema(SCHEMAS, panel["type"], "Options")
        found += messages(options.iter_errors(panel["options"]), panel["title"])
        if panel["type"] in {"timeseries", "table"}:
            custom = schema(SCHEMAS, panel["type"], "FieldConfig")
            found += messages(custom.iter_errors(panel["fieldConfig"]["defaults"].get("custom", {})), panel["title"])
        for target in panel["targets"]:
            found += messages(query.iter_errors(target), panel["title"])
        if panel["fieldConfig"]["defaults"].get("unit") not in units:
            found.append(f"{panel['title']}: has a unit that Grafana does not know")
    return found


def against_model(board: Board) -> list[str]:
    """Keys that Grafana's own model does not know, and drops when it reads a dashboard."""
    bare = json.loads(json.dumps(board))
    # The model lacks this field of a Prometheus annotation.
    for annotation in bare["annotations"]["list"]:
        annotation.pop("titleFormat", None)
    kept = json.loads(json.dumps(model.Dashboard.from_json(bare), cls=JSONEncoder))
    return list(lost(bare, kept, ""))


def lost(given: Any, kept: Any, where: str) -> Any:
    """Each value that `given` has and `kept` lacks."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            yield from lost(value, kept.get(key), f"{where}.{key}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for index, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from lost(one, other, f"{where}[{index}]")
    elif given != kept:
        yield f"{where}: {given!r} is read as {kept!r}"
