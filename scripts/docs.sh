#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the documentation of all library modules with the docc of the Swift toolchain. They share
# one archive, so that a comment in one module can link to another: ``OutriderMetrics/Counter``.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

output=.build/docs
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# The swift on PATH may be a link or a wrapper of a version manager, so the compiler's resource path
# is tried first.
find_docc() {
    local resources folder
    resources="$(swiftc -print-target-info | sed -n 's/.*"runtimeResourcePath": "\(.*\)".*/\1/p')"
    for folder in "$resources/../../bin" "$(dirname "$(command -v swift)")"; do
        if [[ -x $folder/docc ]]; then
            echo "$folder/docc"
            return
        fi
    done
    echo "docs: docc was not found next to swift; install a full Swift toolchain" >&2
    return 1
}

docc="$(find_docc)"
graphs="$work/all-graphs"
extract_symbols "$work/package.json" "$graphs"
modules="$(python3 scripts/api.py --modules "$work/package.json")"

mkdir "$work/graphs" "$work/Outrider.docc"
for module in $modules; do
    if [[ ! -f $graphs/$module.symbols.json ]]; then
        echo "docs: the module $module has no symbol graph" >&2
        exit 1
    fi
    # <Module>@<Other>.symbols.json holds the module's additions to the types of another module.
    find "$graphs" \( -name "$module.symbols.json" -o -name "$module@*.symbols.json" \) \
        -exec cp {} "$work/graphs" \;
    find "Sources/$module" -name '*.docc' -prune -exec cp -R {}/. "$work/Outrider.docc" \;
done

rm -rf "$output"
"$docc" convert "$work/Outrider.docc" \
    --additional-symbol-graph-dir "$work/graphs" \
    --output-path "$output" \
    --fallback-display-name Outrider \
    --fallback-bundle-identifier outrider \
    --fallback-default-module-kind Library

echo "The documentation is in $output. To read it, run"
echo "  python3 -m http.server --directory $output 8000"
echo "and open http://localhost:8000/documentation/outrider in a browser."
