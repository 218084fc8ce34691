# SPDX-License-Identifier: Apache-2.0
# In a guest: put kernel, initial RAM disk and command line into one file, with the guest's ukify.
#
#   sh unify.sh IMAGE KERNEL INITRD VERSION COMMANDLINE
#
# What the guest's configuration says besides (signing keys, a splash) stays as it is: ukify(1).
set -eu
image=$1 kernel=$2 initrd=$3 version=$4 commandline=$5
PATH=$PATH:/usr/lib/systemd:/lib/systemd
set -- --linux="$kernel" --initrd="$initrd" --uname="$version" --cmdline="$commandline" \
    --os-release=@/etc/os-release --output="$image.tradewind-new"
[ ! -e /etc/kernel/uki.conf ] || set -- --config=/etc/kernel/uki.conf "$@"
trap 'rm -f "$image.tradewind-new"' EXIT
ukify build "$@"
mv -f "$image.tradewind-new" "$image"
