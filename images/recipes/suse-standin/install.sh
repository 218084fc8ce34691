# SPDX-License-Identifier: Apache-2.0
# Runs in the guest's root, on its own disk: GRUB into EFI/opensuse, and a boot entry in the
# firmware's variables; nothing in the fallback path EFI/BOOT.

grub2-install --target=x86_64-efi --efi-directory=/boot/efi --bootloader-id=opensuse
grub2-mkconfig --output=/boot/grub2/grub.cfg
grep -q 'initrd.*/boot/initrd-' /boot/grub2/grub.cfg
efibootmgr --verbose
test ! -e /boot/efi/EFI/BOOT

# From here on nothing in this system answers like a Debian.
rm -rf /usr/bin/apt* /usr/bin/dpkg* /usr/sbin/dpkg* /usr/lib/apt /usr/lib/dpkg /usr/share/dpkg \
    /var/lib/apt /var/lib/dpkg /var/cache/apt /var/cache/debconf /etc/apt /etc/dpkg \
    /etc/debian_version /etc/cron.daily/apt* /etc/cron.daily/dpkg /lib/systemd/system/apt* \
    /lib/systemd/system/dpkg*
rpm --query kernel-default
