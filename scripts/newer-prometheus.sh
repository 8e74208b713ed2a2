#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fetches newer Prometheus servers than the system's for the integration tests: those of Debian
# trixie (2.53) and of Debian sid (3.x), if they are newer releases than this system. They are
# unpacked below .build (scripts/debian.sh).
#
#   scripts/newer-prometheus.sh             prints the path of each server, one per line
#   scripts/newer-prometheus.sh trixie      the same for the named suites
#   scripts/newer-prometheus.sh --suites    prints the suites that are used by default
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/debian.sh
source scripts/debian.sh

choose_suites "$@"

# Unpacks the server of a suite, or prints the problem on stdout.
fetch_into() {
    local work="$1" suite="$2" problem
    problem="$(unpack_packages "$work" "$suite" download prometheus)"
    if [[ -n $problem ]]; then
        echo "$problem"
    elif ! timeout 20 "$work/unpacked/usr/bin/prometheus" --version >"$work/output" 2>&1; then
        echo "the server does not run on this system: $(head -n 1 "$work/output")"
    fi
}

fetch_suites newer-prometheus "$PWD/.build/newer-prometheus" usr/bin/prometheus PROMETHEUS fetch_into "${suites[@]}"
