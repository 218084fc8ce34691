# SPDX-License-Identifier: Apache-2.0
# Give open LUKS containers other names.
#
#   sh luks_rename.sh (DEVICE NAME)...
while [ $# -gt 0 ]; do
    name=$(cat "/sys/class/block/${1##*/}/dm/name") || exit 1
    [ "$name" = "$2" ] || dmsetup rename "$name" "$2" >/dev/null || exit 1
    shift 2
done
udevadm settle --timeout=30
