# SPDX-License-Identifier: Apache-2.0
"""examples/kubernetes: judged by published schemas, and started as far as a machine without a cluster can."""

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
from constraints import NOBODY, READ_ONLY_BUT_TMP, for_everybody, may
from harness import ROOT, Example, fetch, poll, release_binary, system_binary
from manifests import MANIFESTS, PLACE, Manifest, judge, of_kind, read

pytestmark = pytest.mark.compute

DEPLOYMENT = of_kind("Deployment")
POD = DEPLOYMENT["spec"]["template"]
CONTAINER = POD["spec"]["containers"][0]
ENVIRONMENT = {one["name"]: one.get("value") for one in CONTAINER["env"]}
PORTS = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
ADAPTER = yaml.safe_load((PLACE / "prometheus-adapter.yaml").read_text())["rules"]["custom"][0]


@pytest.mark.parametrize("manifest", [document for _, document in MANIFESTS], ids=[name for name, _ in MANIFESTS])
def test_published_schemas_take_it(manifest: Manifest) -> None:
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
def test_a_manifest_with_a_mistake_is_found_out(name: str, path: list[Any], value: Any) -> None:
    mutant = copy.deepcopy(of_kind(name))
    place = mutant
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(Exception):  # noqa: B017, PT011 - each schema has its own
        judge(mutant)


def labels_match(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether a selector selects what has these labels."""
    return selector.items() <= labels.items()


def test_everything_finds_the_pods() -> None:
    labels = POD["metadata"]["labels"]
    selectors = [DEPLOYMENT["spec"]["selector"]["matchLabels"]]
    for kind, place in [("PodMonitor", "selector"), ("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")]:
        selectors.append(of_kind(kind)["spec"][place]["matchLabels"])
    services = [document for _, document in MANIFESTS if document["kind"] == "Service"]
    selectors += [service["spec"]["selector"] for service in services]
    assert all(labels_match(selector, labels) for selector in selectors)
    monitor = of_kind("ServiceMonitor")["spec"]
    found = [one for one in services if labels_match(monitor["selector"]["matchLabels"], one["metadata"]["labels"])]
    assert [one["metadata"]["name"] for one in found] == ["shop-metrics"]
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in found[0]["spec"]["ports"]}


def test_every_port_that_is_named_is_one_of_the_containers() -> None:
    named = {probe["httpGet"]["port"] for name, probe in CONTAINER.items() if name.endswith("Probe")}
    named |= {endpoint["port"] for endpoint in of_kind("PodMonitor")["spec"]["podMetricsEndpoints"]}
    named |= {port["targetPort"] for _, one in MANIFESTS if one["kind"] == "Service" for port in one["spec"]["ports"]}
    named |= {port["port"] for rule in of_kind("NetworkPolicy")["spec"]["ingress"] for port in rule["ports"]}
    assert named == set(PORTS) == {"http", "metrics"}
    assert ENVIRONMENT["OUTRIDER_ADDRESS"] == f"0.0.0.0:{PORTS['metrics']}"


def test_the_policy_lets_nobody_from_outside_reach_the_agent() -> None:
    for rule in of_kind("NetworkPolicy")["spec"]["ingress"]:
        if "metrics" in {port["port"] for port in rule["ports"]}:
            for peer in rule["from"]:
                # Both in one entry: these pods of this namespace, not either.
                assert {"namespaceSelector", "podSelector"} <= peer.keys()
    assert of_kind("NetworkPolicy")["spec"]["policyTypes"] == ["Ingress"]


def test_a_pod_may_do_nothing_that_it_need_not() -> None:
    pod, container = POD["spec"]["securityContext"], CONTAINER["securityContext"]
    assert pod["runAsNonRoot"] and pod["runAsUser"] > 0 and pod["seccompProfile"]["type"] == "RuntimeDefault"
    assert container["readOnlyRootFilesystem"] and not container["allowPrivilegeEscalation"]
    assert container["capabilities"]["drop"] == ["ALL"] and not POD["spec"]["automountServiceAccountToken"]
    assert "memory" in CONTAINER["resources"]["limits"] and "cpu" not in CONTAINER["resources"]["limits"]


def test_the_drain_is_longer_than_the_probes_take_and_shorter_than_the_grace() -> None:
    readiness = CONTAINER["readinessProbe"]
    drain, last = int(ENVIRONMENT["DRAIN_SECONDS"]), int(ENVIRONMENT["LAST_SCRAPE_SECONDS"])
    assert drain > readiness["periodSeconds"] * readiness["failureThreshold"]
    assert last > int(of_kind("PodMonitor")["spec"]["podMetricsEndpoints"][0]["interval"].removesuffix("s"))
    assert POD["spec"]["terminationGracePeriodSeconds"] >= drain + last + 30


def test_the_storefront_knows_what_it_is_told() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "examples/storefront").rglob("*.swift"))
    for name in ENVIRONMENT:
        assert f'"{name}"' in sources or name.startswith(("OUTRIDER_", "OTEL_")) or name == "POD_NAME", name


def test_the_autoscaler_asks_for_a_metric_that_there_is() -> None:
    scaler = of_kind("HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"]["name"] == DEPLOYMENT["metadata"]["name"] and "replicas" not in DEPLOYMENT["spec"]
    metric = scaler["metrics"][0]["pods"]["metric"]["name"]
    assert metric in listed() and re.search(ADAPTER["name"]["matches"], metric) and ADAPTER["name"]["as"] == metric
    query = ADAPTER["metricsQuery"].replace("<<.Series>>", metric).replace("<<.LabelMatchers>>", 'pod=~"a|b"')
    assert parsed(query.replace("<<.GroupBy>>", "pod")) and parsed(ADAPTER["seriesQuery"])


def test_the_rules_are_those_of_the_dashboards(tmp_path: Path) -> None:
    spec = of_kind("PrometheusRule")["spec"]
    assert spec == yaml.safe_load((FOLDER / "outrider.rules.yml").read_text())
    (tmp_path / "rules.yml").write_text(json.dumps(spec))
    check = [system_binary("promtool"), "check", "rules", str(tmp_path / "rules.yml")]
    assert subprocess.run(check, capture_output=True, timeout=300).returncode == 0


@pytest.mark.parametrize("place", [PLACE, FOLDER], ids=["example", "dashboards"])
def test_what_the_kustomization_names_is_there(place: Path) -> None:
    [kustomization] = read(place / "kustomization.yaml")
    for resource in kustomization["resources"]:
        found = (place / resource).resolve()
        assert found.is_file() or (found / "kustomization.yaml").is_file(), resource
    for generator in kustomization.get("configMapGenerator", ()):
        assert sum((place / name).stat().st_size for name in generator["files"]) < 1 << 20
        assert all((place / name).is_file() for name in generator["files"])


def test_kustomize_makes_everything_of_it() -> None:
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("there is no kubectl, which Debian 12 has in a version too old for this")
    made = subprocess.run([kubectl, "kustomize", str(PLACE)], capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr
    documents = [document for document in yaml.safe_load_all(made.stdout) if document]
    kinds = [document["kind"] for document in documents]
    assert {"Deployment", "PodMonitor", "PrometheusRule", "ConfigMap", "NetworkPolicy", "HorizontalPodAutoscaler"} <= set(kinds)
    boards = next(document for document in documents if document["kind"] == "ConfigMap")
    assert boards["metadata"]["labels"] == {"grafana_dashboard": "1"} and len(boards["data"]) == 4
    for document in documents:
        judge(document)


def test_the_container_starts_and_ends_as_the_deployment_says(tmp_path: Path) -> None:
    """Nobody's, with a root that cannot be written to, and a /tmp of its own."""
    hardened = [*READ_ONLY_BUT_TMP, *NOBODY]
    if not may(hardened):
        pytest.skip("this machine does not let a test harden a program so")
    environment = {name: value for name, value in ENVIRONMENT.items() if value and "$(" not in value}
    # Quicker, with time enough to see it drain on a machine that is busy, and on ports that are free.
    environment |= {"DRAIN_SECONDS": "5", "LAST_SCRAPE_SECONDS": "0", "STOREFRONT_PORT": "0", "OUTRIDER_DEBUG_ADDRESS": "127.0.0.1:0"}
    del environment["OUTRIDER_ADDRESS"]
    with for_everybody(release_binary("storefront")) as program, Example(
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

        poll("it drains", is_draining)
        # Customers are served until the balancers have noticed.
        assert fetch(f"{shop.service}/healthz")
        assert shop.wait(60 + POD["spec"]["terminationGracePeriodSeconds"]) == 0
