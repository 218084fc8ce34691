# SPDX-License-Identifier: Apache-2.0
# Functions about the attached disks and about whatever stands on them.
#
#   disks SERIAL…         the kernel's names of the disks; udev may still be reading one that was
#                         attached a moment ago
#   standing_on NAME      a device, its partitions and all that stands on them, each after what it
#                         stands on
disks() {
    for serial; do
        tries=0
        until [ -b "/dev/disk/by-id/virtio-$serial" ]; do
            tries=$((tries + 1))
            [ "$tries" -le 60 ] ||
                { echo "no disk with the serial $serial is attached" >&2; return 1; }
            sleep 0.5
        done
        link=$(readlink -f "/dev/disk/by-id/virtio-$serial")
        echo "${link##*/}"
    done
}
standing_on() (
    echo "$1"
    for child in /sys/class/block/"$1"/"$1"*/partition; do
        [ ! -e "$child" ] || { child=${child%/partition}; standing_on "${child##*/}"; }
    done
    for child in /sys/class/block/"$1"/holders/*; do
        [ ! -e "$child" ] || standing_on "${child##*/}"
    done
)
