# SPDX-License-Identifier: Apache-2.0
# Runs in the guest's file tree when all packages are installed.

kernel=$(basename /lib/modules/*)

# --- an initramfs for the hardware that this machine was installed on -------------------------------

rm -f /boot/initrd.img-* /initrd.img* /vmlinuz*
# The system's own setting, hostonly, would look at the hardware of the machine that builds.
dracut --quiet --force --no-hostonly --drivers "ahci ata_piix sd_mod btrfs" \
    --omit-drivers "virtio.*" \
    --omit "qemu virtiofs nvdimm overlay-root lunmask plymouth crypt lvm mdraid dmraid" \
    "/boot/initrd-$kernel" "$kernel"
modules=$(lsinitrd "/boot/initrd-$kernel")
if echo "$modules" | grep -q 'virtio[a-z_]*\.ko' || ! echo "$modules" | grep -q '/ahci\.ko'; then
    echo "the initramfs must have the driver of AHCI and none of VirtIO" >&2
    exit 1
fi

# --- GRUB under the names of this family -------------------------------------------------------------

mkdir -p /boot/grub2
ln -s grub2 /boot/grub
for program in install mkconfig reboot set-default; do
    ln -s "grub-$program" "/usr/sbin/grub2-$program"
done
rm -f /usr/sbin/update-grub /usr/sbin/update-grub2 /etc/grub.d/05_debian_theme
# Debian's version asks dpkg, which this system will not have; GRUB's own is there as well.
sed -i 's/dpkg --compare-versions/version_test_numeric/' /usr/share/grub/grub-mkconfig_lib
# A short menu: each entry takes grub-mkconfig seconds where the CPU is emulated.
chmod -x /etc/grub.d/20_linux_xen /etc/grub.d/30_* /etc/grub.d/4*
cat >/etc/default/grub <<'END'
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISABLE_RECOVERY=true
GRUB_DISABLE_SUBMENU=y
GRUB_DISTRIBUTOR="SUSE stand-in"
GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0 mitigations=off"
END

# --- services ----------------------------------------------------------------------------------------

chmod 600 /etc/NetworkManager/system-connections/*
systemctl enable --quiet ssh.service NetworkManager.service serial-getty@ttyS0.service
systemctl mask --quiet NetworkManager-wait-online.service apt-daily.timer \
    apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer
systemctl set-default --quiet multi-user.target
