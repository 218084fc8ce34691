# SPDX-License-Identifier: Apache-2.0
# In a guest: build an initial RAM disk with initramfs-tools, in its place.
#
#   sh update_initramfs.sh VERSION IMAGE COMPRESSION
#
# Lowers the level for this run only. Format: initramfs.conf(5).
level=/etc/initramfs-tools/conf.d/zz-tradewind
trap 'rm -f "$level"' EXIT
grep -qs '^COMPRESSLEVEL=' /etc/initramfs-tools/initramfs.conf /etc/initramfs-tools/conf.d/* ||
    case $3 in zstd | gzip | xz) echo COMPRESSLEVEL=3 >"$level" ;; esac
case $2 in
    "/boot/initrd.img-$1")
        if [ -e "$2" ]; then update-initramfs -u -k "$1"; else update-initramfs -c -k "$1"; fi ;;
    *) mkinitramfs -o "$2.tradewind-new" "$1" && mv "$2.tradewind-new" "$2" ;;
esac
