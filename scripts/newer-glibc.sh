#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fetches newer C libraries than the system's, for the tests of heap profiles: those of Debian trixie (glibc 2.41) and
# of Debian sid (2.42 and later), as far as they are newer releases than this system. They are unpacked below .build
# (scripts/newer-debian.sh).
#
#   scripts/newer-glibc.sh             prints the path of each dynamic linker, one a line; its libraries lie beside it
#   scripts/newer-glibc.sh sid         the same for the suites that it names
#   scripts/newer-glibc.sh --suites    prints the suites that it takes unless some are named
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/newer-debian.sh
source scripts/newer-debian.sh

# shellcheck disable=SC2034 # for the functions of newer-debian.sh
name=newer-glibc package=libc6 absence='NO GLIBC'
main_file() {
    local file
    for file in "$1"/usr/lib/*-linux-gnu*/ld-linux-*.so.[0-9]; do
        if [[ -x $file ]]; then
            echo "$file"
        fi
    done
}
try() {
    local linker
    linker="$(main_file "$1")"
    timeout 20 "$linker" --library-path "${linker%/*}" /bin/true
}
unpack_newer "$@"
