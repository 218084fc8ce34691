# SPDX-License-Identifier: Apache-2.0
# Runs in the guest's file tree when all packages are installed.

kernel=$(basename /lib/modules/*)

# The proof that adapting this guest is real work: its initramfs has no driver of VirtIO.
modules=$(lsinitramfs "/boot/initrd.img-$kernel")
if echo "$modules" | grep -q virtio || ! echo "$modules" | grep -q '/ahci\.ko'; then
    echo "the initramfs must have the driver of AHCI and none of VirtIO" >&2
    exit 1
fi

systemctl enable --quiet ssh.service systemd-networkd.service serial-getty@ttyS0.service
# The hours in which these would run must not fall into somebody's measurement.
systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-networkd-wait-online.service
systemctl set-default --quiet multi-user.target

# A short menu: each entry takes grub-mkconfig seconds where the CPU is emulated.
chmod -x /etc/grub.d/20_linux_xen /etc/grub.d/30_* /etc/grub.d/4*
cat >/etc/default/grub <<'END'
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISABLE_RECOVERY=true
GRUB_DISABLE_SUBMENU=y
GRUB_DISTRIBUTOR=debian
GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0 mitigations=off"
END

# The lab's mirror, and nothing outside.
printf 'deb [trusted=yes] http://198.18.0.1:8000/debian ./\n' >/etc/apt/sources.list
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
