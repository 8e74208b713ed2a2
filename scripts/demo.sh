#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the quickstart service and runs it in place of this script. SECONDS_TO_RUN, if set, is read
# by the service.
#
# It is built from its own manifest, as a reader would build it: only its own dependencies are
# fetched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

scripts/setup.sh demo

tree=.build/quickstart
# As in scripts/build-release.sh.
rm -f "$tree/release.yaml"
swift_build -c release --package-path examples/quickstart --scratch-path "$tree" --product quickstart >&2
exec "$tree/release/quickstart"
