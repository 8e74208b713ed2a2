# SPDX-License-Identifier: Apache-2.0
# Shared by the scripts; source it from the root of the repository.
#
# Build trees, one for each configuration, so that it is compiled only once:
#
#   .build                    a plain `swift build`: debug, no trait
#   .build/all-traits         debug, all traits: the Swift tests and the programs of Tests/Probe and Tests/HeapProbe
#   .build/thread-sanitizer   debug, no trait, instrumented
#   .build/programs           release: the examples, benchmarks and hosts of Tests/Programs
# shellcheck shell=bash

# shellcheck disable=SC2206 # one flag for each word
build_flags=(${SWIFT_BUILD_FLAGS:-})

# SwiftPM writes the flags of traits in the order of a set. In another order, everything would be
# compiled again. SwiftPM also evaluates the manifests of all packages again, which takes 15
# seconds, when an environment variable differs from its last call. So `swift build` and `swift
# package` are called through these two functions.
swift_build() {
    env -u SHLVL -u OLDPWD SWIFT_DETERMINISTIC_HASHING=1 swift build ${build_flags[@]+"${build_flags[@]}"} "$@"
}

swift_package() {
    env -u SHLVL -u OLDPWD SWIFT_DETERMINISTIC_HASHING=1 swift package "$@"
}

# Prints the names of the package's traits, one per line.
trait_names() {
    swift_package dump-package | python3 -c '
import json, sys
print(*sorted({trait["name"] for trait in json.load(sys.stdin)["traits"]} - {"default"}), sep="\n")'
}

# Arguments for builds that only the checks use: no debug information, which takes a fifth of a
# release build. A plain `swift build` includes it.
quick_build=(-debug-info-format none)

# The same for debug builds, with one compiler process for all files of a module: by default there
# is one for each 25 files and at least two, and each of them reads and checks the files of the
# others too. Modules are compiled in parallel.
quick_debug_build=("${quick_build[@]}" -Xswiftc -driver-batch-size-limit -Xswiftc 100000
    -Xswiftc -driver-batch-count -Xswiftc 1)

# Sets all_traits to the arguments that select the tree with all traits, and all_traits_tree to
# those without the trait names.
choose_all_traits() {
    local names header
    names="$(trait_names | paste -sd , -)"
    if [[ -z $names ]]; then
        echo "Package.swift declares no traits" >&2
        return 1
    fi
    all_traits_tree=(--scratch-path .build/all-traits "${quick_debug_build[@]}")
    header="$PWD/.build/all-traits/standard-headers.pch"
    if precompile_standard_headers "$header"; then
        all_traits_tree+=(-Xcxx -include-pch -Xcxx "$header")
    fi
    all_traits=("${all_traits_tree[@]}" --traits "$names")
}

# Precompiles the standard headers that the 500 C++ files of BoringSSL (in swift-crypto and
# swift-nio-ssl) include: a third of their compile time. Fails if that is not possible.
precompile_standard_headers() {
    local header=$1 clang
    # SwiftPM's own clang: no other one can read the file.
    clang="$(swift_folder)/clang"
    [[ -z ${CC:-} && -x $clang ]] || return 1
    # The flags of a debug build, as far as they affect headers.
    local flags=(-O0 -fPIC -fblocks -g0 -fno-omit-frame-pointer -std=c++17 -DSWIFT_PACKAGE=1 -DDEBUG=1)
    # Not made again while it is valid: everything that includes it would be compiled again.
    if "$clang" "${flags[@]}" -include-pch "$header" -fsyntax-only -x c++ /dev/null 2>/dev/null; then
        return 0
    fi
    mkdir -p "$(dirname "$header")"
    printf '#include <%s>\n' algorithm array atomic functional initializer_list iterator limits memory new optional \
        string string_view tuple type_traits utility variant vector \
        cassert climits cstdint cstdio cstdlib cstring errno.h inttypes.h pthread.h time.h unistd.h >"${header%.pch}.h"
    # Templates are instantiated here, not in each file that includes the header.
    "$clang" "${flags[@]}" -fpch-instantiate-templates -D_GNU_SOURCE -D_POSIX_C_SOURCE=200112L \
        -x c++-header "${header%.pch}.h" -o "$header" 2>/dev/null
}

# Writes the description of the package to a file, and the public symbols of all library modules to
# a folder. It takes them from the tree with all traits, which it brings up to date.
extract_symbols() {
    choose_all_traits
    swift_build "${all_traits[@]}" --build-tests >&2
    swift_package describe --type json >"$1"
    python3 -B scripts/symbol-graphs.py .build/all-traits "$1" "$2"
}

# The folder of Swift's programs.
swift_folder() {
    dirname "$(readlink -f "$(command -v swift)")"
}

# The clang to compile C with. Swift includes one, which need not be on PATH.
find_clang() {
    echo "${CLANG:-$(command -v clang || echo "$(swift_folder)/clang")}"
}

# Runs a command in the background, as many at a time as there are CPUs. await_jobs detects failed
# jobs.
job_failures=0
run_job() {
    while [[ $(jobs -rp | wc -l) -ge $(nproc) ]]; do
        wait -n || job_failures=$((job_failures + 1))
    done
    "$@" &
}

# Waits for all jobs; fails if one of them failed.
await_jobs() {
    local job
    for job in $(jobs -p); do
        wait "$job" || job_failures=$((job_failures + 1))
    done
    [[ $job_failures -eq 0 ]]
}
