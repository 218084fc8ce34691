# SPDX-License-Identifier: Apache-2.0
# Assemble arrays. Prints what mdadm says of each, after a line "array DEVICE STATUS".
#
#   sh md_assemble.sh (MEMBER… --)...
#
# No mdadm.conf is read, neither the worker's nor a guest's. start_ro: nothing is written to the
# members before the first write to the array, yet it is no read-only device, on which a LUKS
# container would be opened read-only for good (md(4)).
modprobe -aq raid0 raid1 raid10 raid456 linear 2>/dev/null
[ $# -eq 0 ] || echo 1 >/sys/module/md_mod/parameters/start_ro
number=100
while [ $# -gt 0 ]; do
    while [ -e "/sys/block/md$number" ]; do number=$((number + 1)); done
    members=
    while [ "$1" != -- ]; do members="$members $1"; shift; done
    shift
    # shellcheck disable=SC2086 # names of devices, a word each
    said=$(mdadm --assemble "/dev/md$number" --config=none --run $members 2>&1)
    status=$?
    echo "array /dev/md$number $status"
    if [ $status -ne 0 ]; then
        echo "$said" | sed 's/^/SAID=/'
        mdadm --stop "/dev/md$number" >/dev/null 2>&1
        continue
    fi
    mdadm --detail --export "/dev/md$number"
    degraded=$(cat "/sys/block/md$number/md/degraded" 2>/dev/null)
    echo "DEGRADED=${degraded:-0}"
done
udevadm settle --timeout=30
