#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs missing packages only. A repeated run costs nothing.
#
#   scripts/setup.sh demo    the requirements of building the libraries, the tests and the examples
#   scripts/setup.sh sql     the same, plus SQLite, in which the storefront stores its orders
#   scripts/setup.sh bench   the same as demo, plus a load generator and the allocators for comparison
#   scripts/setup.sh lab     the same as sql, plus a load generator and a reader of profiles
#   scripts/setup.sh test    all of the above, plus Prometheus, Alertmanager, VictoriaMetrics, the proxies that
#                            the tests run in front of an agent, the programs that they run with the malloc
#                            hooks, debootstrap, and the Python packages of the tests
#   scripts/setup.sh pictures  the same as test, plus a browser that renders the pictures of the dashboards
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

goal="${1:-test}"
case "$goal" in
    demo | sql | bench | lab | test | pictures) ;;
    *)
        echo "usage: scripts/setup.sh [demo|sql|bench|lab|test|pictures]" >&2
        exit 2
        ;;
esac

browser=()
if [[ $goal == pictures ]]; then
    browser=(chromium fonts-dejavu-core)
    goal=test
fi

# Alternative names of a package in different releases are separated by "|", the newest first.
packages=(libmicrohttpd-dev zlib1g-dev pkg-config)
if [[ $goal == bench ]]; then
    packages+=(wrk python3 gcc libc6-dev binutils libjemalloc2 'libgoogle-perftools4t64|libgoogle-perftools4')
fi
if [[ $goal == sql ]]; then
    packages+=(libsqlite3-dev)
fi
if [[ $goal == lab ]]; then
    packages+=(libsqlite3-dev wrk python3 golang-go)
fi
if [[ $goal == test ]]; then
    packages+=(${browser[@]+"${browser[@]}"} prometheus prometheus-alertmanager python3 python3-venv wrk golang-go graphviz protobuf-compiler valgrind gcc g++
        libc6-dev libc6-dev-arm64-cross musl-dev binutils make git perl procps redis-server strace systemd curl libsqlite3-dev
        libjemalloc2 nginx haproxy victoria-metrics debootstrap 'libmimalloc3|libmimalloc2.0')
    # The tests of the hooks need one of each, from any source on PATH.
    command -v java >/dev/null && command -v javac >/dev/null ||
        packages+=(default-jdk-headless)
    command -v node >/dev/null || packages+=(nodejs)
fi

say() {
    echo "setup: $*" >&2
}

# Prints the packages of which no name is installed.
missing_packages() {
    local installed package state=' installed'
    local next="$state"$'\n'
    # dpkg-query exits non-zero if it does not know one of the names.
    # shellcheck disable=SC2016,SC2086 # dpkg-query fills in the fields; one word for each name
    installed="$(dpkg-query --show --showformat '${Package} ${db:Status-Status}\n' \
        ${packages[*]//|/ } 2>/dev/null || true)"
    for package in "${packages[@]}"; do
        grep -qxF "${package//|/$next}$state" <<<"$installed" || echo "$package"
    done
}

# Prints the first name of each package that apt knows. Without package lists apt knows none; then
# it is the last name.
names_here() {
    local names
    for names in "$@"; do
        while [[ $names == *'|'* ]] && ! apt-cache show "${names%%|*}" >/dev/null 2>&1; do
            names="${names#*|}"
        done
        echo "${names%%|*}"
    done
}

# A newly installed Debian service starts at once, and at every boot. The tests start their own
# Prometheus.
policy=/usr/sbin/policy-rc.d
forbid_services() {
    if [[ ! -e $policy ]]; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
}

install_packages() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "$@" </dev/null
}

set_up_debian() {
    local missing names
    mapfile -t missing < <(missing_packages)
    if [[ ${#missing[@]} -eq 0 ]]; then
        return
    fi
    mapfile -t names < <(names_here "${missing[@]}")
    if [[ $(id -u) -ne 0 ]]; then
        say "Debian packages are missing. Install them, then run this script again:"
        echo "sudo apt-get install -y --no-install-recommends ${names[*]}"
        exit 1
    fi

    # A new container has no package lists.
    if ! apt-cache show "${names[@]}" >/dev/null 2>&1; then
        apt-get update
        mapfile -t names < <(names_here "${missing[@]}")
    fi
    say "installing ${names[*]}"
    forbid_services
    # Or the lists are outdated, and name a file that no longer exists.
    if ! install_packages "${names[@]}"; then
        apt-get update
        install_packages "${names[@]}"
    fi
    local service
    for service in prometheus prometheus-alertmanager victoria-metrics; do
        if [[ " ${names[*]} " == *" $service "* ]] && [[ -d /run/systemd/system ]]; then
            systemctl disable --quiet "$service.service" || true
        fi
    done
}

set_up_elsewhere() {
    if ! command -v pkg-config >/dev/null || ! pkg-config --exists libmicrohttpd; then
        say "this is not a Debian system. Install with its package manager:"
        say "  libmicrohttpd and zlib with their headers, and a pkg-config that finds libmicrohttpd"
        if [[ $goal == test ]]; then
            say "  Prometheus with promtool, Alertmanager with amtool, and Python 3.11 or later with the venv module"
        fi
        exit 1
    fi
    if [[ $goal == test ]]; then
        local tool
        for tool in prometheus promtool prometheus-alertmanager amtool victoria-metrics vmalert python3; do
            command -v "$tool" >/dev/null || say "the integration tests need $tool on PATH"
        done
    fi
}

set_up_python() {
    local requirements=Tests/Integration/requirements.txt
    local home=.build/python
    local installed="$home/requirements.txt"
    if [[ -x $home/bin/python ]] && cmp --silent "$requirements" "$installed"; then
        return
    fi

    local python=/usr/bin/python3
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        python=python3
    fi
    say "creating $home with the Python packages of the integration tests"
    rm -rf "$home"
    mkdir -p .build
    "$python" -m venv "$home"
    "$home/bin/python" -m pip install --quiet --no-input --disable-pip-version-check \
        --requirement "$requirements"
    cp "$requirements" "$installed"
}

if ! command -v swift >/dev/null; then
    say "swift is not on PATH. Outrider needs Swift 6.3: https://www.swift.org/install"
    exit 1
fi
if command -v dpkg-query >/dev/null; then
    set_up_debian
else
    set_up_elsewhere
fi
if [[ $goal == test ]]; then
    set_up_python
fi
