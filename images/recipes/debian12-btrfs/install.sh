# SPDX-License-Identifier: Apache-2.0
# Runs in the guest's root, on its own disk.

grub-install --target=i386-pc "$1"
grub-mkconfig --output=/boot/grub/grub.cfg
grep -q 'rootflags=subvol=@' /boot/grub/grub.cfg
