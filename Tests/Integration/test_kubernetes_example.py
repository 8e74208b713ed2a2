# SPDX-License-Identifier: Apache-2.0
"""examples/kubernetes: validated against published schemas, and run as far as possible without a
cluster."""

import copy
import json
import re
import shutil
import subprocess
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import yaml

from boards import FOLDER, listed, parsed
from constraints import UNPRIVILEGED, READ_ONLY_BUT_TMP, world_readable_copy, is_permitted
from harness import ROOT, Example, fetch, poll, release_binary, system_binary
from manifests import MANIFESTS, EXAMPLE, Manifest, judge, of_kind, read

pytestmark = pytest.mark.compute

DEPLOYMENT = of_kind("Deployment")
POD = DEPLOYMENT["spec"]["template"]
CONTAINER = POD["spec"]["containers"][0]
ENVIRONMENT = {one["name"]: one.get("value") for one in CONTAINER["env"]}
PORTS = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
ADAPTER = yaml.safe_load((EXAMPLE / "prometheus-adapter.yaml").read_text())["rules"]["custom"][0]


@pytest.mark.parametrize("manifest", [document for _, document in MANIFESTS], ids=[name for name, _ in MANIFESTS])
def test_published_schemas_accept_the_manifest(manifest: Manifest) -> None:
    judge(manifest)


@pytest.mark.parametrize(("name", "path", "value"), [
    ("Deployment", ["spec", "template", "spec", "containers", 0, "readinesProbe"], {}),
    ("Deployment", ["spec", "template", "spec", "containers", 0, "ports", 0, "containerPort"], "http"),
    ("HorizontalPodAutoscaler", ["spec", "metrics", 0, "type"], 5),
    ("NetworkPolicy", ["spec", "ingres"], []),
    ("PodMonitor", ["spec", "podMetricsEndpoints", 0, "scrapeTimeOut"], "10s"),
    ("ServiceMonitor", ["spec", "endpoints", 0, "interval"], "soon"),
    ("PrometheusRule", ["spec", "groups", 0, "rules", 0, "exprs"], "1"),
])
def test_the_schemas_reject_an_invalid_manifest(name: str, path: list[Any], value: Any) -> None:
    mutant = copy.deepcopy(of_kind(name))
    node = mutant
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(Exception):  # noqa: B017, PT011 - each schema has its own
        judge(mutant)


def labels_match(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether a selector matches these labels."""
    return selector.items() <= labels.items()


def test_every_selector_matches_the_pods() -> None:
    labels = POD["metadata"]["labels"]
    selectors = [DEPLOYMENT["spec"]["selector"]["matchLabels"]]
    for kind, field in [("PodMonitor", "selector"), ("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")]:
        selectors.append(of_kind(kind)["spec"][field]["matchLabels"])
    services = [document for _, document in MANIFESTS if document["kind"] == "Service"]
    selectors += [service["spec"]["selector"] for service in services]
    assert all(labels_match(selector, labels) for selector in selectors)
    monitor = of_kind("ServiceMonitor")["spec"]
    found = [one for one in services if labels_match(monitor["selector"]["matchLabels"], one["metadata"]["labels"])]
    assert [one["metadata"]["name"] for one in found] == ["shop-metrics"]
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in found[0]["spec"]["ports"]}


def test_every_referenced_port_is_a_container_port() -> None:
    named = {probe["httpGet"]["port"] for name, probe in CONTAINER.items() if name.endswith("Probe")}
    named |= {endpoint["port"] for endpoint in of_kind("PodMonitor")["spec"]["podMetricsEndpoints"]}
    named |= {port["targetPort"] for _, one in MANIFESTS if one["kind"] == "Service" for port in one["spec"]["ports"]}
    named |= {port["port"] for rule in of_kind("NetworkPolicy")["spec"]["ingress"] for port in rule["ports"]}
    assert named == set(PORTS) == {"http", "metrics"}
    assert ENVIRONMENT["OUTRIDER_ADDRESS"] == f"0.0.0.0:{PORTS['metrics']}"


def test_the_network_policy_keeps_outside_clients_from_the_agent() -> None:
    for rule in of_kind("NetworkPolicy")["spec"]["ingress"]:
        if "metrics" in {port["port"] for port in rule["ports"]}:
            for peer in rule["from"]:
                # Both in one entry: these pods in this namespace, not either of them.
                assert {"namespaceSelector", "podSelector"} <= peer.keys()
    assert of_kind("NetworkPolicy")["spec"]["policyTypes"] == ["Ingress"]


def test_the_pod_has_least_privilege() -> None:
    pod, container = POD["spec"]["securityContext"], CONTAINER["securityContext"]
    assert pod["runAsNonRoot"] and pod["runAsUser"] > 0 and pod["seccompProfile"]["type"] == "RuntimeDefault"
    assert container["readOnlyRootFilesystem"] and not container["allowPrivilegeEscalation"]
    assert container["capabilities"]["drop"] == ["ALL"] and not POD["spec"]["automountServiceAccountToken"]
    assert "memory" in CONTAINER["resources"]["limits"] and "cpu" not in CONTAINER["resources"]["limits"]


def test_the_drain_outlasts_the_readiness_probes_and_fits_the_grace_period() -> None:
    readiness = CONTAINER["readinessProbe"]
    drain, last = int(ENVIRONMENT["DRAIN_SECONDS"]), int(ENVIRONMENT["LAST_SCRAPE_SECONDS"])
    assert drain > readiness["periodSeconds"] * readiness["failureThreshold"]
    assert last > int(of_kind("PodMonitor")["spec"]["podMetricsEndpoints"][0]["interval"].removesuffix("s"))
    assert POD["spec"]["terminationGracePeriodSeconds"] >= drain + last + 30


def test_the_storefront_reads_every_environment_variable() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "examples/storefront").rglob("*.swift"))
    for name in ENVIRONMENT:
        assert f'"{name}"' in sources or name.startswith(("OUTRIDER_", "OTEL_")) or name == "POD_NAME", name


def test_the_autoscaler_uses_an_existing_metric() -> None:
    scaler = of_kind("HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"]["name"] == DEPLOYMENT["metadata"]["name"] and "replicas" not in DEPLOYMENT["spec"]
    metric = scaler["metrics"][0]["pods"]["metric"]["name"]
    assert metric in listed() and re.search(ADAPTER["name"]["matches"], metric) and ADAPTER["name"]["as"] == metric
    query = ADAPTER["metricsQuery"].replace("<<.Series>>", metric).replace("<<.LabelMatchers>>", 'pod=~"a|b"')
    assert parsed(query.replace("<<.GroupBy>>", "pod")) and parsed(ADAPTER["seriesQuery"])


def test_the_rules_equal_those_of_the_dashboards(tmp_path: Path) -> None:
    spec = of_kind("PrometheusRule")["spec"]
    assert spec == yaml.safe_load((FOLDER / "outrider.rules.yml").read_text())
    (tmp_path / "rules.yml").write_text(json.dumps(spec))
    check = [system_binary("promtool"), "check", "rules", str(tmp_path / "rules.yml")]
    assert subprocess.run(check, capture_output=True, timeout=300).returncode == 0


@pytest.mark.parametrize("folder", [EXAMPLE, FOLDER], ids=["example", "dashboards"])
def test_every_file_of_the_kustomization_exists(folder: Path) -> None:
    [kustomization] = read(folder / "kustomization.yaml")
    for resource in kustomization["resources"]:
        found = (folder / resource).resolve()
        assert found.is_file() or (found / "kustomization.yaml").is_file(), resource
    for generator in kustomization.get("configMapGenerator", ()):
        assert sum((folder / name).stat().st_size for name in generator["files"]) < 1 << 20
        assert all((folder / name).is_file() for name in generator["files"])


def test_kustomize_builds_every_resource() -> None:
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("kubectl is not installed, and Debian 12's version is too old")
    made = subprocess.run([kubectl, "kustomize", str(EXAMPLE)], capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr
    documents = [document for document in yaml.safe_load_all(made.stdout) if document]
    kinds = [document["kind"] for document in documents]
    assert {"Deployment", "PodMonitor", "PrometheusRule", "ConfigMap", "NetworkPolicy", "HorizontalPodAutoscaler"} <= set(kinds)
    boards = next(document for document in documents if document["kind"] == "ConfigMap")
    assert boards["metadata"]["labels"] == {"grafana_dashboard": "1"} and len(boards["data"]) == 4
    for document in documents:
        judge(document)


def test_the_container_starts_and_stops_as_deployed(tmp_path: Path) -> None:
    """Runs it as another user, with a read-only root and its own /tmp."""
    hardened = [*READ_ONLY_BUT_TMP, *UNPRIVILEGED]
    if not is_permitted(hardened):
        pytest.skip("this machine does not permit these restrictions")
    environment = {name: value for name, value in ENVIRONMENT.items() if value and "$(" not in value}
    # Shorter delays, though long enough to observe the drain on a busy machine, and free ports.
    environment |= {"DRAIN_SECONDS": "5", "LAST_SCRAPE_SECONDS": "0", "STOREFRONT_PORT": "0", "OUTRIDER_DEBUG_ADDRESS": "127.0.0.1:0"}
    del environment["OUTRIDER_ADDRESS"]
    with world_readable_copy(release_binary("storefront")) as program, Example(
        [*hardened, str(program)], tmp_path / "log", agent="0.0.0.0:0", **environment
    ) as shop:
        for name in ["startupProbe", "livenessProbe", "readinessProbe"]:
            assert fetch(shop.agent + CONTAINER[name]["httpGet"]["path"])
        assert b"service_name=\"shop\"" in fetch(f"{shop.agent}/metrics")
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetch(f"{shop.agent}/debug/pprof/heap")
        assert refused.value.code in (401, 403)
        shop.popen.terminate()

        def is_draining() -> bool | None:
            try:
                fetch(shop.agent + CONTAINER["readinessProbe"]["httpGet"]["path"])
            except urllib.error.HTTPError as error:
                return error.code == 503 or None
            return None

        poll("the service drains", is_draining)
        # Customers are served until the load balancers have noticed.
        assert fetch(f"{shop.service}/healthz")
        assert shop.wait(60 + POD["spec"]["terminationGracePeriodSeconds"]) == 0
