#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fetches newer Prometheus servers than the system's, for the integration tests: those of Debian
# trixie (2.53) and of Debian sid (3.x), as far as they are newer releases than this system. They come
# from the mirror that apt uses already, are unpacked below .build and never installed; the package
# manager's own sources, lists and caches stay as they are. Runs again at no cost.
#
#   scripts/newer-prometheus.sh             prints the path of each server, one a line
#   scripts/newer-prometheus.sh trixie      the same for the suites that it names
#   scripts/newer-prometheus.sh --suites    prints the suites that it takes unless some are named
#
# A server that cannot be had is no failure: it says why on stderr, and the tests skip it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
home="$PWD/.build/newer-prometheus"
# Seconds. Lists are 10 MB, a package is 35 MB.
update_limit=90
download_limit=180

# Those suites that are newer than this system. A system that is none of Debian's counts as older.
newer_suites() {
    local own newer=' bookworm trixie forky sid ' suite
    # shellcheck source=/dev/null
    own="$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}")" || true
    newer="${newer##* ${own:-none} }"
    for suite in trixie sid; do
        if [[ " $newer" == *" $suite "* ]]; then
            echo "$suite"
        fi
    done
}

if [[ ${1:-} == --suites ]]; then
    newer_suites
    exit
fi
mapfile -t suites < <(newer_suites)
if [[ $# -gt 0 ]]; then
    suites=("$@")
fi
for suite in "${suites[@]}"; do
    if [[ ! $suite =~ ^[a-z]+$ ]]; then
        echo "usage: scripts/newer-prometheus.sh [--suites | suite ...]" >&2
        exit 2
    fi
done

# The Debian mirror that apt has package lists of. Mirrors of security updates and of backports have
# other labels.
mirror_of_apt() {
    apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main' 2>/dev/null |
        awk '!/^cdrom:/ && !found++'
}

# What keeps this system from it; nothing if it can be tried.
obstacle() {
    local tool
    for tool in apt-get apt-config dpkg timeout; do
        if ! command -v "$tool" >/dev/null; then
            echo "this is no Debian system: there is no $tool"
            return
        fi
    done
    if [[ ! -r $keyring ]]; then
        echo "there is no $keyring to check signatures with (package debian-archive-keyring)"
    elif [[ -z $(mirror_of_apt) ]]; then
        echo "apt has no package lists of a Debian mirror; \`apt-get update\` fetches them where its sources name one"
    fi
}

# The configuration of apt-get for one suite. Of the system's own it has the mirror and how that is
# reached, so that neither its other sources nor what it does after an update come into play.
write_configuration() {
    local folder="$1" suite="$2" mirror
    mkdir -p "$folder"/{lists/partial,cache/archives/partial,none}
    : >"$folder/status"
    mirror="$(mirror_of_apt)"
    # A mirror that lags behind is good enough for tests: its lists are signed, if not of this week.
    echo "deb [signed-by=$keyring check-valid-until=no] $mirror $suite main" \
        >"$folder/sources.list"
    apt-config dump | grep -iE '^Acquire::(https?::|check-date|.*proxy)' >"$folder/apt.conf" || true
    cat >>"$folder/apt.conf" <<END
Dir::Etc::main "/dev/null";
Dir::Etc::parts "$folder/none";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "$folder/none";
Dir::Etc::sourcelist "$folder/sources.list";
Dir::Etc::sourceparts "$folder/none";
Dir::State "$folder";
Dir::State::lists "$folder/lists";
Dir::State::status "$folder/status";
Dir::Cache "$folder/cache";
Dir::Log "$folder";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "20";
APT::Sandbox::User "";
END
}

# Runs apt-get with that configuration, for so many seconds, quietly unless it fails.
apt_get() {
    local folder="$1" limit="$2"
    shift 2
    (cd "$folder" &&
        APT_CONFIG="$folder/apt.conf" DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
            timeout --kill-after=10 "$limit" apt-get -q "$@" </dev/null >output 2>&1)
}

# Why a command failed: that it took too long, or the first error that it wrote.
reason() {
    local status="$1" folder="$2"
    if [[ $status -eq 124 || $status -eq 137 ]]; then
        echo "it took too long"
    else
        grep -m 1 '^E:' "$folder/output" || echo "it failed with status $status"
    fi
}

# Unpacks the server of a suite into a folder, or says on stdout what went wrong.
fetch_into() {
    local work="$1" suite="$2" status=0 packages
    write_configuration "$work" "$suite"
    # An update that only warns may have got nothing.
    apt_get "$work" "$update_limit" -o APT::Update::Error-Mode=any update || status=$?
    if [[ $status -ne 0 ]]; then
        echo "no package lists: $(reason "$status" "$work")"
        return
    fi
    apt_get "$work" "$download_limit" download prometheus || status=$?
    packages=("$work"/prometheus_*.deb)
    if [[ $status -ne 0 || ! -f ${packages[0]} ]]; then
        echo "no package: $(reason "$status" "$work")"
        return
    fi
    if ! dpkg -x "${packages[0]}" "$work/unpacked" >"$work/output" 2>&1; then
        echo "the package does not unpack: $(head -n 1 "$work/output")"
        return
    fi
    if ! timeout 20 "$work/unpacked/usr/bin/prometheus" --version >"$work/output" 2>&1; then
        echo "the server does not run here: $(head -n 1 "$work/output")"
    fi
}

obstacle="$(obstacle)"
for suite in "${suites[@]}"; do
    binary="$home/$suite/usr/bin/prometheus"
    if [[ -x $binary ]]; then
        echo "$binary"
        continue
    fi
    problem="$obstacle"
    if [[ -z $problem ]]; then
        mkdir -p "$home"
        work="$(mktemp -d "$home/$suite.XXXXXX")"
        trap 'rm -rf "$work"' EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM
        problem="$(fetch_into "$work" "$suite")"
        if [[ -z $problem ]]; then
            # All or nothing: a folder with the name of a suite is whole.
            rm -rf "${home:?}/$suite"
            mv "$work/unpacked" "$home/$suite"
        fi
        rm -rf "$work"
    fi
    if [[ -z $problem ]]; then
        echo "$binary"
    else
        {
            echo "newer-prometheus: NO PROMETHEUS OF DEBIAN ${suite^^}: $problem"
            echo "newer-prometheus: the integration tests SKIP whatever would run against it"
        } >&2
    fi
done
