# SPDX-License-Identifier: Apache-2.0
# Mount a guest, with a /run and a /dev of its own.
#
#   sh devices.sh+mount.sh ROOT "DISK…" (DEVICE PATH FSTYPE OPTIONS check|as-it-is)...
#
# `enter` says where a folder of the guest really is; one that leads out through a symbolic link
# would let the guest mount over the worker's own folders. Of what the guest's programs are given,
# none may be a link at all. /dev has the devices of the guest's own disks, and the names that udev
# gave them; `guest_runner.py` lends them to those commands that need them.
set -eu
root=$1 disks=$2; shift 2
mkdir -p "$root"
enter() {
    where=$(cd "$root$1" && pwd -P)
    case "$where" in "$root"/*) ;; *) echo "$1 leads out of the guest" >&2; exit 1 ;; esac
}
own() {
    if [ -L "$root$1" ]; then echo "$1 is a symbolic link" >&2; exit 1; fi
    mkdir -p "$root$1"
    where=$root$1
}
while [ $# -gt 0 ]; do
    where=$root
    [ "$2" = / ] || enter "$2"
    if [ "$5" = check ]; then
        checked=0
        e2fsck -p "$1" >&2 || checked=$?
        [ $checked -lt 4 ] || { echo "$2: e2fsck wants a person" >&2; exit 1; }
    fi
    mount -t "$3" -o "$4" "$1" "$where"
    shift 5
done
own /run; mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$where"
mkdir -p "$where/lock"
own /dev; mount -t tmpfs -o mode=755,nosuid,noexec tmpfs "$where"
names=" $(for disk in $disks; do
    disk=$(readlink -f "$disk")
    standing_on "${disk##*/}"
done | tr '\n' ' ')"
links=$(find /dev -mindepth 2 -maxdepth 3 -type l -printf '%P %l\n' |
    while read -r link target; do
        case "$names" in *" ${target##*/} "*) printf ' %s' "$link" ;; esac
    done)
cd /dev
set -f
# shellcheck disable=SC2086 # lists of words, and `set -f` keeps them as they are
set -- $names $links
[ $# -eq 0 ] || cp -a --parents "$@" "$where"
