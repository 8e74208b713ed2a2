#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the quickstart service and becomes it. SECONDS_TO_RUN, when set, is the service's to read.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh demo

program="$(scripts/build-release.sh examples/quickstart quickstart)"
exec "$program"
