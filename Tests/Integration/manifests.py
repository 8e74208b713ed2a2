# SPDX-License-Identifier: Apache-2.0
"""Kubernetes manifests, validated against the published schemas of Kubernetes and the Prometheus
Operator."""

import importlib
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from harness import ROOT

Manifest = dict[str, Any]
EXAMPLE = ROOT / "examples/kubernetes"
VERSIONS = ["1.29", "1.37"]
"""The oldest version still likely to be in use, and the newest that the schemas cover."""
OF_THE_OPERATOR = {"PodMonitor", "ServiceMonitor", "PrometheusRule"}
NOT_MANIFESTS = {"kustomization.yaml", "prometheus-adapter.yaml"}


def read(path: Path) -> list[Manifest]:
    """The documents of a YAML file."""
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


MANIFESTS: list[tuple[str, Manifest]] = [
    (f"{path.name}: {document['kind']}", document)
    for path in [*sorted(EXAMPLE.glob("*.yaml")), ROOT / "dashboards/outrider.prometheusrule.yaml"]
    if path.name not in NOT_MANIFESTS for document in read(path)
]


def of_kind(kind: str) -> Manifest:
    """The first manifest of a kind."""
    return next(document for _, document in MANIFESTS if document["kind"] == kind)


def judge(manifest: Manifest) -> None:
    """Fails on a field that a schema does not know, or on an invalid value."""
    if manifest["kind"] not in OF_THE_OPERATOR:
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)
        return
    # Imported on use: it takes two seconds to load, and every process of a parallel run loads this
    # file.
    operator = importlib.import_module("cloudcoil.models.prometheus_operator.v1")
    model = getattr(operator, manifest["kind"])
    read_back = model.model_validate(manifest).model_dump(by_alias=True, exclude_unset=True, mode="json")
    # The model drops fields that it does not know.
    assert lost(manifest, read_back) == []


def lost(given: Any, kept: Any, location: str = "") -> list[str]:
    """Paths of the given values that were not kept."""
    if isinstance(given, dict):
        return [one for key, value in given.items() for one in (
            lost(value, kept[key], f"{location}.{key}") if key in kept else [f"{location}.{key}"])]
    if isinstance(given, list):
        return [one for at, (value, own) in enumerate(zip(given, kept, strict=True)) for one in lost(value, own, f"{location}[{at}]")]
    return [] if str(given) == str(kept) else [location]
