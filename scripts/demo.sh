#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the quickstart service and becomes it. SECONDS_TO_RUN, when set, is the service's to read.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh demo

# shellcheck disable=SC2206 # one flag for each word
build=(swift build -c release --package-path examples/quickstart ${SWIFT_BUILD_FLAGS:-})
"${build[@]}" --product quickstart
exec "$("${build[@]}" --show-bin-path)/quickstart"
