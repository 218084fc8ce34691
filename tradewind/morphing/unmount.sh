# SPDX-License-Identifier: Apache-2.0
# End what runs in a guest, unmount it, and remove the folder.
#
#   sh unmount.sh ROOT TRIM           TRIM: free blocks are given back first, unless it is empty
#
# Programs that outlived their connection hold the mounts: whatever has its root in the guest ends,
# and so does what has the guest as the root of a name space of its own.
root=$1 trim=$2
[ -z "$trim" ] || findmnt -rnR -o TARGET -t ext4,xfs,btrfs "$root" | xargs -rn1 fstrim -v
sync
tries=0
device=$(findmnt -frno MAJ:MIN "$root")
inside() {
    find /proc/[0-9]*/root -maxdepth 0 -lname "$root*" 2>/dev/null
    grep -lsE "^[0-9]+ [0-9]+ $device [^ ]+ / " /proc/[0-9]*/mountinfo
}
end_inside() {
    inside | while IFS=/ read -r _ _ process _; do
        [ "$process" = 1 ] || kill -9 "$process" 2>/dev/null
    done
}
end_inside
while mountpoint -q "$root"; do
    said=$(umount -R "$root" 2>&1) && continue
    end_inside
    tries=$((tries + 1))
    [ $tries -lt 10 ] || { echo "$said" >&2; exit 1; }
    sleep 0.5
done
! grep -qF " $root" /proc/self/mountinfo && rmdir "$root"
