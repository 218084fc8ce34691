# SPDX-License-Identifier: Apache-2.0
# Print the kernel's names of the disks, an empty line, and what lsblk says of them as JSON.
#
#   sh devices.sh+take_down.sh+list.sh yes|no COLUMNS SERIAL…
#
# In an image that is not ours udev opens arrays and volumes by itself, its own way: with "yes",
# the first time, all of that is taken down, and is done no more.
first=$1 columns=$2; shift 2
names=$(disks "$@") || exit 1
if [ "$first" = yes ]; then
    mkdir -p /run/udev/rules.d
    for rule in 64-md-raid-assembly 69-lvm 69-dm-lvm 69-dm-lvm-metad 69-lvm-metad; do
        ln -sf /dev/null "/run/udev/rules.d/$rule.rules"
    done
    udevadm control --reload
    udevadm settle --timeout=30
    # shellcheck disable=SC2086 # the kernel's names are words
    close_all $names || exit 1
fi
udevadm settle --timeout=30
set --
for name in $names; do set -- "$@" "/dev/$name"; done
printf '%s\n' "$@" ''
lsblk --json --paths --output "$columns" "$@"
