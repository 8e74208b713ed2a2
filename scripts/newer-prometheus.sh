#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fetches newer Prometheus servers than the system's, for the integration tests: those of Debian
# trixie (2.53) and of Debian sid (3.x), as far as they are newer releases than this system. They are unpacked
# below .build (scripts/newer-debian.sh).
#
#   scripts/newer-prometheus.sh             prints the path of each server, one a line
#   scripts/newer-prometheus.sh trixie      the same for the suites that it names
#   scripts/newer-prometheus.sh --suites    prints the suites that it takes unless some are named
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/newer-debian.sh
source scripts/newer-debian.sh

# shellcheck disable=SC2034 # for the functions of newer-debian.sh
name=newer-prometheus package=prometheus absence='NO PROMETHEUS'
main_file() {
    local file="$1/usr/bin/prometheus"
    if [[ -x $file ]]; then
        echo "$file"
    fi
}
try() {
    timeout 20 "$(main_file "$1")" --version
}
unpack_newer "$@"
