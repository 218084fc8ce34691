# SPDX-License-Identifier: Apache-2.0
# Runs in the worker's file tree when all packages are installed.
#
# What starts here costs seconds before anybody can log in, because the CPU may be emulated: so a
# worker starts udev, the network, SSH and the guest agent, takes its keys from the seed (by cloud-init if
# the seed asks for more), and nothing else.

# --- the initramfs: busybox, a few modules, thirty lines --------------------------------------------

kernel=$(basename /lib/modules/*)
tree=$(mktemp -d)
mkdir -p "$tree/bin" "$tree/dev" "$tree/proc" "$tree/sys" "$tree/root"
cp /bin/busybox "$tree/bin/"
cp /usr/lib/tradewind/initramfs/init "$tree/"

# In the order in which they can be loaded, each after what it depends on.
list_modules() {
    for module in "$@"; do
        modprobe --set-version "$kernel" --show-depends "$module" | sed -n 's/^insmod //p'
    done | awk '!seen[$1]++ { print $1 }'
}
list_modules virtio_pci virtio_blk >"$tree/modules-virtio-blk"
list_modules virtio_scsi sd_mod >"$tree/modules-virtio-scsi"
cat "$tree/modules-virtio-blk" "$tree/modules-virtio-scsi" | while read -r module; do
    cp --parents "$module" "$tree/"
done
(cd "$tree" && find . | cpio --quiet -o -H newc | lz4 -q -l -9) >"/boot/initrd.img-$kernel"
rm -r "$tree"

# --- what systemd does not start --------------------------------------------------------------------

# The only file system is mounted by the initramfs, and nothing else is to be found by a generator.
mkdir -p /etc/systemd/system-generators
for generator in /lib/systemd/system-generators/*; do
    ln -s /dev/null "/etc/systemd/system-generators/$(basename "$generator")"
done

# Done otherwise or not at all: cloud-init in one process, the clock by the hypervisor, a journal
# in memory, no console to log in on.
systemctl mask --quiet \
    cloud-init-local.service cloud-init.service cloud-config.service cloud-final.service \
    cloud-init-hotplugd.socket getty-static.service serial-getty@ttyS0.service getty@tty1.service \
    systemd-random-seed.service systemd-update-utmp.service systemd-update-utmp-runlevel.service \
    systemd-journal-flush.service systemd-journald-audit.socket systemd-user-sessions.service \
    systemd-ask-password-console.path systemd-ask-password-wall.path systemd-initctl.socket \
    systemd-pstore.service
# Whose work is done when the image is built.
systemctl mask --quiet \
    systemd-sysusers.service systemd-machine-id-commit.service systemd-firstboot.service \
    systemd-repart.service systemd-remount-fs.service systemd-network-generator.service \
    systemd-modules-load.service systemd-sysctl.service systemd-binfmt.service \
    proc-sys-fs-binfmt_misc.automount
# Its rules would let everybody in, and loading them costs time; tradewind brings its own.
systemctl mask --quiet nftables.service
# Mount points that nobody here looks at. Whoever needs fuse, dm or loop has them loaded on demand.
systemctl mask --quiet \
    sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount \
    sys-kernel-tracing.mount dev-mqueue.mount dev-hugepages.mount \
    modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service \
    modprobe@efi_pstore.service modprobe@fuse.service modprobe@loop.service
# A guest's volume groups and arrays are none of the worker's business until it is told so.
systemctl mask --quiet \
    lvm2-monitor.service lvm2-lvmpolld.socket blk-availability.service dm-event.socket \
    mdmonitor.service mdmonitor-oneshot.timer mdcheck_start.timer mdcheck_continue.timer
# A worker lives for minutes.
systemctl mask --quiet \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer systemd-tmpfiles-clean.timer
# Without systemd-user-sessions nobody would lift the ban on logging in that this file creates.
ln -s /dev/null /etc/tmpfiles.d/systemd-nologin.conf
rm -f /etc/udev/rules.d/*cloud-init* /lib/udev/rules.d/*cloud-init*

systemctl enable --quiet systemd-networkd.service seed-keys.service cloud-init-stages.service \
    name-servers.service ssh.service
systemctl set-default --quiet multi-user.target

# --- what each command over SSH starts --------------------------------------------------------------

# sshd hands it to the account's shell; dash starts in less than half of bash's time.
usermod --shell /bin/sh root

# --- what is not left behind ------------------------------------------------------------------------

rm -f /etc/ssh/ssh_host_* /etc/apt/sources.list
rm -rf /var/cache/apt/* /var/cache/debconf/*-old /var/log/*
