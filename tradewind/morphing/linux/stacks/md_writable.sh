# SPDX-License-Identifier: Apache-2.0
# Let arrays be written. A resync would read and write the whole array in the worker: the guest does
# that itself.
#
#   sh md_writable.sh DEVICE…
for device; do
    md=${device##*/}
    [ ! -e "/sys/block/$md/md/sync_action" ] || echo frozen >"/sys/block/$md/md/sync_action"
    [ "$(cat "/sys/block/$md/ro")" = 0 ] || mdadm --readwrite "$device" || exit 1
done
