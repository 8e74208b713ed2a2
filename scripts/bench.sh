#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the benchmarks and runs them; TSV on standard output, notes on standard error.
# Usage: bench.sh [--quick | --check]
#   --quick   coarser, under a minute
#   --check   the properties that CI can verify on a shared machine: every line is present, series
#             and observations do not allocate, and a request allocates only its token; times are
#             not judged
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bench="$(scripts/build-release.sh outrider-bench)"

if [[ ${1:-} != --check ]]; then
  prefix=()
  [[ $(nice -n -15 nice 2>/dev/null || true) != -15 ]] || prefix=(nice -n -15)
  exec "${prefix[@]}" "$bench" "$@"
fi

mkdir -p .build
"${CC:-clang}" -shared -fPIC -O2 -Wall -Wextra -Werror -Wl,--no-undefined \
  -o .build/liballocations.so Benchmarks/AllocationCounter/allocations.c
LD_PRELOAD=$PWD/.build/liballocations.so "$bench" --allocations

rows=$("$bench" --quick)
printf '%s\n' "$rows"
for op in counter_inc gauge_set histogram_observe native_observe counter_lookup counter_lookup_record \
  counter_lookup_typed histogram_lookup register_counter_million \
  request_floor request_token request_token_template \
  swift_metrics_counter_inc swift_metrics_counter_make_inc \
  scrape_counters scrape_histograms register_counter register_histogram \
  cache_hit limiter_allowed fanout_delivered work_queue_cycle lock_floor lock_uncontended \
  collect_process collect_threads collect_cgroup collect_jobs collect_process_big \
  read_memory read_threads read_memory_big scrape_runtime scrape_runtime_big; do
  grep -qP "^outrider\t$op\t1\t[0-9.]+\t[0-9.]+$" <<<"$rows" ||
    { echo "bench.sh: the benchmark printed no line for $op" >&2; exit 1; }
done
