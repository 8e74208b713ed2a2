#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the tests in a complete Debian 13: in a root that debootstrap creates below .build, from the
# mirror that apt uses. Compilers, libraries, Prometheus and everything that scripts/setup.sh
# installs are of that release. Swift is this system's.
#
#   scripts/debian-root.sh                   the endpoint's raw tests, heap profiles and the stress tests of the hooks
#   scripts/debian-root.sh COMMAND ...       another command, in a clone of the last commit
#
# The root is kept, so that the next run installs and builds only what is new; `rm -rf
# .build/debian-root` forces a new one. Its mounts and processes are in their own namespaces, and
# end with the run.
#
# This requires root and permission to mount. If no root can be created, the script reports why and
# succeeds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/debian.sh
source scripts/debian.sh

suite=trixie
root="$PWD/.build/debian-root/$suite"
clone=/root/outrider
# Packages that Swift requires.
packages=(binutils ca-certificates gcc git libc6-dev libcurl4t64 libedit2 libncurses6 libsqlite3-0 libstdc++-14-dev libxml2
    libuuid1 make tzdata)
tests=(bash -c 'scripts/test.sh setup build unit programs sanitize &&
    scripts/integration.sh compute -k "raw_requests or heap or preload or newer_libraries or other_defaults"')
if [[ $# -gt 0 ]]; then
    tests=("$@")
fi

# Prints what prevents this system from doing it; empty if it can be tried.
obstacle_to_root() {
    local obstacle
    obstacle="$(obstacle)"
    if [[ -n $obstacle ]]; then
        echo "$obstacle"
    elif [[ $(id -u) -ne 0 ]]; then
        echo "this script must run as root"
    elif ! command -v debootstrap >/dev/null; then
        echo "debootstrap is missing (package debootstrap)"
    elif ! unshare --mount --pid --fork --propagation private true 2>/dev/null; then
        echo "this process is not allowed to mount file systems"
    elif ! command -v swift >/dev/null; then
        echo "swift is not on PATH"
    fi
}

# Creates the root, or prints on stdout why it cannot.
make_root() {
    local work log="$PWD/.build/debian-root/$suite.log"
    mkdir -p .build/debian-root
    work="$(mktemp -d "$root.XXXXXX")"
    echo "debian-root: creating $root; log: $log" >&2
    if ! debootstrap --variant=minbase --keyring="$keyring" --include="$(IFS=, && echo "${packages[*]}")" \
        "$suite" "$work" "$(mirror_of_apt)" >"$log" 2>&1 </dev/null; then
        echo "debootstrap failed: $(grep -m 1 '^[EW]:' "$log" || tail -n 1 "$log")"
        rm -rf --one-file-system "$work"
        return
    fi
    apt-config dump | grep -iE '^Acquire::(https?::|check-date|.*proxy)' >"$work/etc/apt/apt.conf.d/90host" || true
    # Moved as a whole, so a folder with the name of the suite is always complete.
    chmod 755 "$work"
    mv "$work" "$root"
}

problem="$(obstacle_to_root)"
if [[ -z $problem && ! -d $root ]]; then
    problem="$(make_root)"
fi
if [[ -n $problem ]]; then
    echo "debian-root: NOT TESTED ON DEBIAN ${suite^^}: cannot create its root file system: $problem" >&2
    exit
fi

# The folder of Swift, and local folders that git is configured to fetch packages from.
swift="$(dirname "$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")")"
folders=("$swift")
replaced=()
while read -r key value; do
    place="${key#url.}"
    place="${place%.insteadof}"
    replaced+=("$place" "$value")
    [[ ! -d $place ]] || folders+=("$(realpath "$place")")
done < <(git config --get-regexp '^url\..*\.insteadof$' || true)

# The last commit, with the build products of the one before.
if [[ ! -d $root$clone ]]; then
    git clone --quiet --no-hardlinks "$PWD" "$root$clone"
fi
git -C "$root$clone" fetch --quiet --force "$PWD" HEAD
git -C "$root$clone" reset --quiet --hard FETCH_HEAD

# The certificate authorities of this system's administrator, which a network with a proxy requires.
local_authorities=/usr/local/share/ca-certificates
if compgen -G "$local_authorities/*.crt" >/dev/null; then
    mkdir -p "$root$local_authorities"
    cp --dereference "$local_authorities"/*.crt "$root$local_authorities/"
    chroot "$root" update-ca-certificates >/dev/null 2>&1
fi
cp --dereference /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
if [[ -r /etc/pip.conf ]]; then
    cp /etc/pip.conf "$root/etc/pip.conf"
fi
: >"$root/etc/gitconfig"
for ((each = 0; each < ${#replaced[@]}; each += 2)); do
    git config --file "$root/etc/gitconfig" --add "url.${replaced[each]}.insteadOf" "${replaced[each + 1]}"
done
git config --file "$root/etc/gitconfig" --add safe.directory '*'

# Of this environment, only the settings of network access are kept.
environment=(HOME=/root USER=root LOGNAME=root TERM=dumb LANG=C.UTF-8 CI=true
    "PATH=$swift/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
while IFS= read -r line; do
    environment+=("$line")
done < <(env | grep -iE '^(https?_proxy|no_proxy|PIP_[A-Z_]+|OUTRIDER_TEST_SEED)=' || true)

echo "debian-root: on Debian $(<"$root/etc/debian_version"): ${tests[*]}" >&2
# shellcheck disable=SC2016 # that is for the shell in the namespace
exec unshare --mount --pid --fork --kill-child --propagation private bash -euc '
    root="$1" clone="$2"
    shift 2
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mountpoint -q "$root/dev/shm" || mount -t tmpfs tmpfs "$root/dev/shm"
    while [[ $1 != -- ]]; do
        mkdir -p "$root$1"
        mount --bind "$1" "$root$1"
        mount -o remount,bind,ro "$root$1"
        shift
    done
    shift
    environment=()
    while [[ $1 != -- ]]; do
        environment+=("$1")
        shift
    done
    shift
    exec env -i "${environment[@]}" chroot "$root" bash -c "cd \"\$0\" && exec \"\$@\"" "$clone" "$@"
' bash "$root" "$clone" "${folders[@]}" -- "${environment[@]}" -- "${tests[@]}"
