#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run a program in a root of its own, where bubblewrap is missing and we are root.
#
#     unshare --mount … confine.sh ROOT SERVE "FD FD …" PROGRAM ARGUMENT…
#
# ROOT is an empty folder for the new root. SERVE, if not empty, becomes /serve, the only place to
# write to. Each descriptor's file becomes /image/0, /image/1 and so on, read-only. There are the
# system's programs and libraries besides, /dev/null, and nothing else: no /proc, no /etc.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
root=$1 serve=$2 descriptors=$3
shift 3

read_only() {
    mount --no-canonicalize --bind "$1" "$2"
    mount --no-canonicalize -o "remount,bind,ro,nosuid,nodev$3" "$2"
}

mount -t tmpfs -o mode=755,nosuid,size=1m tradewind "$root"
mkdir "$root/usr" "$root/etc" "$root/dev" "$root/image" "$root/old"
read_only /usr "$root/usr" ""
for folder in bin sbin lib lib32 lib64 libx32; do
    if [ -L "/$folder" ]; then
        cp -P "/$folder" "$root/$folder"
    elif [ -d "/$folder" ]; then
        mkdir "$root/$folder"
        read_only "/$folder" "$root/$folder" ""
    fi
done
cp /etc/ld.so.cache "$root/etc/ld.so.cache" 2>/dev/null || true
: >"$root/dev/null"
mount --bind /dev/null "$root/dev/null"

number=0
for descriptor in $descriptors; do
    : >"$root/image/$number"
    # A descriptor of the old mount namespace cannot be bound itself. Its name may be another file's
    # by now, so what is bound is compared with what was opened.
    read_only "$(readlink "/proc/self/fd/$descriptor")" "$root/image/$number" ",noexec"
    if [ "$(stat -L -c %d:%i "/proc/self/fd/$descriptor")" != "$(stat -c %d:%i "$root/image/$number")" ]; then
        echo "confine.sh: /image/$number is another file than the one that was opened" >&2
        exit 1
    fi
    number=$((number + 1))
done
if [ -n "$serve" ]; then
    mkdir "$root/serve"
    mount --bind "$serve" "$root/serve"
fi

# umount(8) asks /proc what is mounted.
mkdir "$root/proc"
mount --bind /proc "$root/proc"
cd "$root"
pivot_root . old
umount --lazy /old
umount --lazy /proc
rmdir /old /proc
mount -t tmpfs -o remount,ro tradewind /
# The files of other accounts are read through their permissions, as root always could.
unset OLDPWD
exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,+dac_override -- "$@"
