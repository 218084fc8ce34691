# SPDX-License-Identifier: Apache-2.0
# Runs in the guest's root, on its own disks. As grub-install does it on real hardware: GRUB into
# EFI/debian, and a boot entry in the firmware's variables; nothing in the fallback path EFI/BOOT.

grub-install --target=x86_64-efi --efi-directory=/boot/efi --bootloader-id=debian --recheck
grub-mkconfig --output=/boot/grub/grub.cfg
efibootmgr --verbose
test ! -e /boot/efi/EFI/BOOT
