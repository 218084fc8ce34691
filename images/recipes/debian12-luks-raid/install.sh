# SPDX-License-Identifier: Apache-2.0
# Runs in the guest's root, on its own disks: only here can the initramfs be told of them.

kernel=$(basename /lib/modules/*)
update-initramfs -u -k "$kernel"
# It starts by itself; and adapting it is real work, as it has no driver of VirtIO.
modules=$(lsinitramfs "/boot/initrd.img-$kernel")
echo "$modules" | grep -q 'cryptroot/keyfiles/root_crypt.key'
echo "$modules" | grep -q '/ahci\.ko'
if echo "$modules" | grep -q virtio; then
    echo "the initramfs must have no driver of VirtIO" >&2
    exit 1
fi

for disk in "$@"; do
    grub-install --target=i386-pc "$disk"
done
grub-mkconfig --output=/boot/grub/grub.cfg
