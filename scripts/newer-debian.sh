# SPDX-License-Identifier: Apache-2.0
# Fetches a package of newer Debian releases than the system's, for tests; source it from the root of the repository.
# Packages come from the mirror that apt uses already, are unpacked below .build and never installed; the package
# manager's own sources, lists and caches stay as they are. Runs again at no cost.
#
# Its user defines, and then calls unpack_newer "$@":
#
#   name             what the user is called in messages and below .build
#   package          the package
#   absence          what is said where there is none, before "OF DEBIAN"
#   main_file        prints the path of its main file below a folder, if it is there
#   try              runs that file, given the folder
#
# A package that is not available is not a failure: the reason stands on stderr, and the tests skip it.
# shellcheck shell=bash disable=SC2154 # its user defines name, package and absence

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
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

# Unpacks the package of a suite into a folder, or prints what went wrong.
fetch_into() {
    local work="$1" suite="$2" status=0 packages
    write_configuration "$work" "$suite"
    # An update that only warns may have got nothing.
    apt_get "$work" "$update_limit" -o APT::Update::Error-Mode=any update || status=$?
    if [[ $status -ne 0 ]]; then
        echo "no package lists: $(reason "$status" "$work")"
        return
    fi
    apt_get "$work" "$download_limit" download "$package" || status=$?
    packages=("$work/${package}"_*.deb)
    if [[ $status -ne 0 || ! -f ${packages[0]} ]]; then
        echo "no package: $(reason "$status" "$work")"
        return
    fi
    if ! dpkg -x "${packages[0]}" "$work/unpacked" >"$work/output" 2>&1; then
        echo "the package does not unpack: $(head -n 1 "$work/output")"
        return
    fi
    if ! try "$work/unpacked" >"$work/output" 2>&1; then
        echo "it does not run here: $(head -n 1 "$work/output")"
    fi
}

# Prints the paths of the main files, one a line, for those suites that are given, or else for all newer ones. With
# --suites it prints these.
unpack_newer() {
    local obstacle home="$PWD/.build/$name" file problem suite suites work
    if [[ ${1:-} == --suites ]]; then
        newer_suites
        return
    fi
    mapfile -t suites < <(newer_suites)
    if [[ $# -gt 0 ]]; then
        suites=("$@")
    fi
    for suite in "${suites[@]}"; do
        if [[ ! $suite =~ ^[a-z]+$ ]]; then
            echo "usage: scripts/$name.sh [--suites | suite ...]" >&2
            exit 2
        fi
    done
    obstacle="$(obstacle)"
    for suite in "${suites[@]}"; do
        file="$(main_file "$home/$suite")"
        if [[ -n $file ]]; then
            echo "$file"
            continue
        fi
        problem="$obstacle"
        if [[ -z $problem ]]; then
            mkdir -p "$home"
            work="$(mktemp -d "$home/$suite.XXXXXX")"
            # shellcheck disable=SC2064 # this folder, also where its name is known no more
            trap "rm -rf '$work'" EXIT
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
            main_file "$home/$suite"
        else
            {
                echo "$name: $absence OF DEBIAN ${suite^^}: $problem"
                echo "$name: the integration tests SKIP whatever would run with it"
            } >&2
        fi
    done
}
