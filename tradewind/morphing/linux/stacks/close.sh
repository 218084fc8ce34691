# SPDX-License-Identifier: Apache-2.0
# Take down whatever stands on the disks; what stays is an error. The kernel keeps a list of the
# devices of each btrfs: a disk that is gone must not stay in it.
#
#   sh devices.sh+take_down.sh+close.sh SERIAL…
names=
for serial; do
    link=$(readlink -f "/dev/disk/by-id/virtio-$serial") && [ -b "$link" ] &&
        names="$names ${link##*/}"
done
udevadm settle --timeout=30
# shellcheck disable=SC2086 # the kernel's names are words
close_all $names || exit 1
btrfs device scan --forget >/dev/null 2>&1
rm -rf /run/tradewind-lvm
for name in $names; do standing_on "$name"; done | grep -E '^(dm-|md)' >&2 && exit 1
exit 0
