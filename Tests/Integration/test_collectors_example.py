# SPDX-License-Identifier: Apache-2.0
"""examples/collectors and the image: checked by their consumers where those are installed; the
profiles that they scrape are requested."""

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness import ROOT, release_binary, system_binary
from restricted_hosts import HostedProgram, HOSTS

pytestmark = pytest.mark.compute

EXAMPLE = ROOT / "examples/collectors"
ALLOY = (EXAMPLE / "alloy.config").read_text(encoding="utf-8")
PARCA = yaml.safe_load((EXAMPLE / "parca.yaml").read_text(encoding="utf-8"))
AGENT = yaml.safe_load((EXAMPLE / "prometheus-agent.yml").read_text(encoding="utf-8"))
DOCKERFILE = ROOT / "examples/Dockerfile"


def test_prometheus_accepts_the_agent_mode_configuration() -> None:
    check = [system_binary("promtool"), "check", "config", "--agent", "prometheus-agent.yml"]
    run = subprocess.run(check, cwd=EXAMPLE, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0 and "SUCCESS" in run.stdout, run.stdout + run.stderr
    assert "FAILED" not in run.stdout + run.stderr
    assert json.loads((EXAMPLE / AGENT["scrape_configs"][0]["file_sd_configs"][0]["files"][0]).read_text())
    assert AGENT["remote_write"][0]["send_exemplars"]


def alloy_profiles() -> dict[str, str | None]:
    """Each profile in Alloy's configuration, with its path if it is enabled."""
    found = {}
    for name, body in re.findall(r"profile\.(\w+) \{([^}]*)\}", ALLOY):
        path = re.search(r'path\s*=\s*"([^"]+)"', body)
        found[name] = path[1] if path and "enabled = true" in body else None
    return found


def parca_profiles() -> dict[str, str | None]:
    """The same for Parca."""
    wanted = PARCA["scrape_configs"][0]["profiling_config"]["pprof_config"]
    return {name: one.get("path") if one["enabled"] else None for name, one in wanted.items()}


@pytest.fixture(scope="module", name="agent")
def fixture_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HostedProgram, str]]:
    """An agent that other machines could reach, with its token."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text("open-sesame\n")
    more = {"OUTRIDER_ADDRESS": "0.0.0.0:0", "OUTRIDER_DEBUG_ADDRESS": "none", "OUTRIDER_DEBUG_TOKEN_FILE": str(token)}
    with HostedProgram(HOSTS[0], **more) as hosted:
        yield hosted, "open-sesame"


@pytest.mark.parametrize("profiles", [alloy_profiles(), parca_profiles()], ids=["Alloy", "Parca"])
def test_enabled_profiles_are_served_and_missing_ones_are_disabled(
    agent: tuple[HostedProgram, str], profiles: dict[str, str | None], tmp_path: Path
) -> None:
    hosted, token = agent
    assert set(profiles) == {"memory", "process_cpu", "goroutine", "mutex", "block"}
    wanted = {path for path in profiles.values() if path}
    assert wanted == {"/debug/pprof/allocs"}
    for path in wanted:
        request = urllib.request.Request(hosted.url + path, headers={"Authorization": f"Bearer {token}"})
        profile = tmp_path / "profile.pb.gz"
        with urllib.request.urlopen(request, timeout=300) as response:
            profile.write_bytes(response.read())
        read = subprocess.run(
            ["go", "tool", "pprof", "-raw", str(profile)], check=True, capture_output=True, text=True, timeout=300).stdout
        assert "inuse_space/bytes" in read and "alloc_space/bytes" in read


def test_both_collectors_read_the_token_from_the_path_of_the_pod() -> None:
    secret = '/var/run/outrider/token"'
    assert f'bearer_token_file = "{secret}' in ALLOY
    credentials = PARCA["scrape_configs"][0]["authorization"]["credentials_file"]
    deployment = (ROOT / "examples/kubernetes/deployment.yaml").read_text()
    assert credentials == secret.strip('"') and f"value: {credentials}" in deployment


def test_the_braces_of_alloy_match() -> None:
    bare = re.sub(r'"[^"]*"|//.*', "", ALLOY)
    depth = 0
    for sign in re.findall(r"[{}]", bare):
        depth += 1 if sign == "{" else -1
        assert depth >= 0
    assert depth == 0
    # Each referenced receiver and target is a component in the file.
    components = {f"{kind}.{label}" for kind, label in re.findall(r'(?m)^([\w.]+) "(\w+)" \{', ALLOY)}
    named = set(re.findall(r"\b((?:discovery|pyroscope)\.\w+\.\w+)\.(?:targets|output|receiver)", ALLOY))
    assert named and named <= components


def test_hadolint_accepts_the_image() -> None:
    hadolint = ROOT / ".build/python/bin/hadolint"
    run = subprocess.run([hadolint, "--no-color", str(DOCKERFILE)], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0 and run.stdout == "", run.stdout + run.stderr


def packages(stage: str) -> set[str]:
    """The packages installed in a stage."""
    command = re.findall(r"apt-get install -y --no-install-recommends \\\n\s*(.+?) \\\n", stage)
    return {name for line in command for name in line.split()}


def test_the_image_has_every_library_that_a_static_program_needs() -> None:
    last = DOCKERFILE.read_text().split("\nFROM ")[-1]
    shown = subprocess.run(
        [system_binary("readelf"), "-d", release_binary("linked")], check=True, capture_output=True, text=True, timeout=300).stdout
    needed = set(re.findall(r"NEEDED.*\[(.+)\]", shown))
    assert "libmicrohttpd.so.12" in needed and not any("swift" in name for name in needed)
    base = {"libc6", "libgcc-s1"}
    owners = subprocess.run(
        ["dpkg", "-S", *(f"*/{library}" for library in needed)], capture_output=True, text=True, timeout=300).stdout
    for library in needed:
        # The image uses Debian 12; the names of some later packages end in t64, for their 64-bit
        # time_t.
        names = {name.removesuffix("t64") for name in re.findall(rf"(?m)^([^:]+):.*/{re.escape(library)}$", owners)}
        assert names & (packages(last) | base), library


def test_the_image_runs_unprivileged_and_without_a_compiler() -> None:
    stages = DOCKERFILE.read_text().split("\nFROM ")
    assert stages[-1].startswith("debian:bookworm-slim") and "USER 65534:65534" in stages[-1]
    assert "--static-swift-stdlib" in stages[1] and "strip --strip-debug" in stages[1]
