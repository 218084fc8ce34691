# SPDX-License-Identifier: Apache-2.0
# Functions that take down whatever stands on disks, uppermost first. They need devices.sh.
#
#   close_all NAME…       a device may be looked at by udev: it is tried for five seconds
take_down() {
    case $1 in
        dm-*) dmsetup remove --retry "$(cat "/sys/class/block/$1/dm/name")" ;;
        md*p*) return 0 ;;
        md*) mdadm --stop "/dev/$1" ;;
    esac
}
left() {
    for disk; do standing_on "$disk"; done | tac | while IFS= read -r name; do
        case $name in
            dm-*|md*) [ ! -e "/sys/class/block/$name" ] || echo "$name" ;;
        esac
    done
}
close_all() {
    tries=0
    while standing=$(left "$@"); [ -n "$standing" ]; do
        [ $tries -lt 10 ] || break
        [ $tries -eq 0 ] || sleep 0.5
        for name in $standing; do
            [ ! -e "/sys/class/block/$name" ] || said=$(take_down "$name" 2>&1)
        done
        tries=$((tries + 1))
    done
    [ -z "$standing" ] || { echo "$standing: $said" >&2; return 1; }
}
