# SPDX-License-Identifier: Apache-2.0
# Runs in the worker's file tree when all packages are installed.

# --- the initramfs: busybox, five modules, twenty lines ---------------------------------------------

kernel=$(basename /lib/modules/*)
tree=$(mktemp -d)
mkdir -p "$tree"/bin "$tree"/dev "$tree"/proc "$tree"/sys "$tree"/root
cp /bin/busybox "$tree/bin/"
cp /usr/lib/tradewind/initramfs/init "$tree/"
# In the order in which they can be loaded, each with what it depends on.
for module in virtio_pci virtio_blk virtio_scsi sd_mod sr_mod; do
    modprobe --set-version "$kernel" --show-depends --ignore-install "$module" | sed -n 's/^insmod //p'
done | awk '!seen[$1]++ { print $1 }' >"$tree/modules"
while read -r module; do
    cp --parents "$module" "$tree/"
done <"$tree/modules"
(cd "$tree" && find . | cpio --quiet -o -H newc | zstd -q -3) >"/boot/initrd.img-$kernel"
rm -r "$tree"

# --- what does not start ---------------------------------------------------------------------------

systemctl mask --quiet \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    systemd-tmpfiles-clean.timer mdcheck_start.timer mdcheck_continue.timer mdmonitor.service \
    mdmonitor-oneshot.timer lvm2-monitor.service lvm2-lvmpolld.socket blk-availability.service \
    cloud-init-local.service cloud-init.service cloud-config.service cloud-final.service \
    cloud-init-hotplugd.socket getty@tty1.service getty-static.service e2scrub_reap.service \
    systemd-pstore.service rescue-ssh.target
mkdir -p /etc/systemd/system-generators
ln -s /dev/null /etc/systemd/system-generators/cloud-init-generator
ln -s /dev/null /etc/systemd/system-generators/lvm2-activation-generator
rm -f /etc/udev/rules.d/*cloud-init* /lib/udev/rules.d/*cloud-init*
systemctl enable --quiet systemd-networkd.service cloud-init-stages.service ssh.service \
    serial-getty@ttyS0.service
systemctl set-default --quiet multi-user.target

rm -f /etc/ssh/ssh_host_* /etc/apt/sources.list
