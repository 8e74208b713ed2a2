#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes the parsers of external input: a client's Accept, Accept-Encoding, Authorization, Host and
# request target; the kernel's files on processes, control groups and mappings.
#
#   scripts/fuzz.sh            each for 60 s, or for FUZZ_SECONDS
#   scripts/fuzz.sh --check    each for a bounded number of inputs; part of `make test`
#
# The parsers are plain Swift without imports, so each fuzzer is compiled from their files alone,
# with libFuzzer's coverage and the address sanitizer. Seeds are in Tests/Fuzz/seeds; inputs found
# during the run are kept in .build/fuzz.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

limits=(-max_total_time="${FUZZ_SECONDS:-60}")
case "${1:-}" in
    --check) limits=(-runs=50000 -seed=1) ;;
    "") ;;
    *)
        echo "usage: scripts/fuzz.sh [--check]" >&2
        exit 2
        ;;
esac

negotiation=Sources/OutriderMetrics/Negotiation
requests=Sources/OutriderEndpoint/Requests
declare -A readers
readers[accept]="$negotiation/WeightedItem.swift $negotiation/NameEscaping.swift $negotiation/ExpositionFormat.swift"
readers[accept-encoding]="$negotiation/WeightedItem.swift $negotiation/AcceptEncoding.swift"
readers[authorization]="$requests/BearerToken.swift"
readers[host]="$requests/HostField.swift"
readers[target]="$requests/RequestTarget.swift"

runtime=Sources/OutriderRuntime
kernel="$runtime/Sources/KernelText.swift"
readers[proc]="$kernel $runtime/Process/ProcessTexts.swift"
readers[cgroup]="$kernel $runtime/ControlGroup/ControlGroupTexts.swift"
readers[maps]="$kernel $runtime/Memory/MappingsText.swift"

fuzz() {
    local name=$1 place=.build/fuzz/$1
    mkdir -p "$place/corpus" "$place/findings"
    # shellcheck disable=SC2086 # one file for each word
    swiftc -swift-version 6 -O -parse-as-library -package-name outrider -sanitize=fuzzer,address \
        "Tests/Fuzz/$name.swift" ${readers[$name]} -o "$place/fuzzer" >"$place/build.log" 2>&1 || {
        cat "$place/build.log"
        exit 1
    }
    "$place/fuzzer" "$place/corpus" "Tests/Fuzz/seeds/$name" "${limits[@]}" \
        -max_len=4096 -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$place/findings/" >"$place/log" 2>&1 || {
        tail -n 40 "$place/log"
        echo "fuzz: $name failed; the input is in $place/findings"
        exit 1
    }
    echo "fuzz: $name: $(grep -E '^Done' "$place/log")"
}

for name in accept accept-encoding authorization host target proc cgroup maps; do
    run_job fuzz "$name"
done
await_jobs
