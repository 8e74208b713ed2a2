# SPDX-License-Identifier: Apache-2.0
# What the scripts share; source it from the root of the repository.
#
# Build trees, so that each configuration is compiled once:
#
#   .build                    what a plain `swift build` makes: debug, no trait
#   .build/all-traits         debug, all traits: the Swift tests and the programs of Tests/Probe and Tests/HeapProbe
#   .build/thread-sanitizer   debug, no trait, instrumented
#   .build/programs           release: the examples, benchmarks and hosts of Tests/Programs
# shellcheck shell=bash

# shellcheck disable=SC2206 # one flag for each word
build_flags=(${SWIFT_BUILD_FLAGS:-})

# SwiftPM writes the flags of traits in the order of a set. In another order, everything would be compiled again.
# SwiftPM also evaluates the manifests of all packages again, which takes 15 seconds, when an environment variable
# differs from its last call. So `swift build` and `swift package` are called through these two functions.
swift_build() {
    env -u SHLVL -u OLDPWD SWIFT_DETERMINISTIC_HASHING=1 swift build ${build_flags[@]+"${build_flags[@]}"} "$@"
}

swift_package() {
    env -u SHLVL -u OLDPWD SWIFT_DETERMINISTIC_HASHING=1 swift package "$@"
}

# The names of the package's traits, one a line.
trait_names() {
    swift_package dump-package | python3 -c '
import json, sys
print(*sorted({trait["name"] for trait in json.load(sys.stdin)["traits"]} - {"default"}), sep="\n")'
}

# Fills all_traits with the arguments that choose the tree with all traits. It has no data for debuggers, which
# take a part of the build; a plain `swift build` has them.
choose_all_traits() {
    local names
    names="$(trait_names | paste -sd , -)"
    if [[ -z $names ]]; then
        echo "the package has no traits" >&2
        return 1
    fi
    all_traits=(--scratch-path .build/all-traits --traits "$names" -debug-info-format none)
}

# Writes the description of the package to a file, and the public symbols of all library modules to a folder. It takes
# them from the tree with all traits, which it brings up to date.
extract_symbols() {
    choose_all_traits
    swift_build "${all_traits[@]}" --build-tests >&2
    swift_package describe --type json >"$1"
    python3 -B scripts/symbol-graphs.py .build/all-traits "$1" "$2"
}

# The clang to compile C with. Swift brings one, which need not be on PATH.
find_clang() {
    echo "${CLANG:-$(command -v clang || echo "$(dirname "$(readlink -f "$(command -v swift)")")/clang")}"
}

# Runs a command in the background, as many at a time as there are CPUs. A job that fails is seen by await_jobs.
job_failures=0
run_job() {
    while [[ $(jobs -rp | wc -l) -ge $(nproc) ]]; do
        wait -n || job_failures=$((job_failures + 1))
    done
    "$@" &
}

# Waits for all jobs; fails if one of them did.
await_jobs() {
    local job
    for job in $(jobs -p); do
        wait "$job" || job_failures=$((job_failures + 1))
    done
    [[ $job_failures -eq 0 ]]
}
