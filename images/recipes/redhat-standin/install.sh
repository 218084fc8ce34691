# SPDX-License-Identifier: Apache-2.0
# Runs in the guest's root, on its own disk.

grub2-install --target=i386-pc "$1"
# The swap area is called by its name on the source, where disks are on SATA.
grub2-mkconfig --output=/boot/grub2/grub.cfg
grep -q 'initramfs-.*\.img' /boot/grub2/grub.cfg

# From here on nothing in this system answers like a Debian.
rm -rf /usr/bin/apt* /usr/bin/dpkg* /usr/sbin/dpkg* /usr/lib/apt /usr/lib/dpkg /usr/share/dpkg \
    /var/lib/apt /var/lib/dpkg /var/cache/apt /var/cache/debconf /etc/apt /etc/dpkg \
    /etc/debian_version /etc/cron.daily/apt* /etc/cron.daily/dpkg /lib/systemd/system/apt* \
    /lib/systemd/system/dpkg*
rpm --query kernel-core
