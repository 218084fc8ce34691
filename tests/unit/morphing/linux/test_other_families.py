# SPDX-License-Identifier: Apache-2.0
"""What decides the start of guests like Red Hat's and SUSE's: the tree before and after."""

import os
from pathlib import Path

import pytest

from tests.fakes.chrooted import ChrootedGuest
from tests.fakes.guest_tree import difference
from tests.unit.morphing import chroots
from tests.unit.morphing.chroots import NEW, OLD, SUSE
from tradewind.model.guest import Family, GuestOS, MorphOptions, Mount
from tradewind.model.machine import FirmwareKind
from tradewind.morphing.plan import STEPS, name, perform

GOLDEN = Path(__file__).parents[3] / "golden" / "morphing"
# Those of the whole plan that decide whether the guest starts; the rest installs packages.
BOOT = {
    "default-kernel", "device-names", "old-disks", "early-volumes", "old-hardware",
    "serial-console", "boot-code", "efi-fallback", "initramfs", "selinux-labels",
}  # fmt: skip
ESP = Mount(device="/dev/disk/by-id/virtio-twdisk0-part15", path="/boot/efi", fstype="vfat")

FSTAB = """\
/dev/mapper/system-root / xfs defaults 0 0
/dev/sda1 /boot xfs defaults 0 0
/dev/disk/by-id/scsi-36000c29-part3 none swap sw 0 0
"""
GRUBENV = "# GRUB Environment Block\nsaved_entry=abc-{}\n".format


def red_hat() -> dict[str, str | bytes]:
    """Red Hat 9 from VMware: BLS, UEFI, LVM with a devices file, SELinux."""
    options = "root=/dev/mapper/system-root ro resume=/dev/sda3 rd.lvm.lv=system/root rhgb quiet"
    entries = {
        f"/boot/loader/entries/abc-{version}.conf": (
            f"title Red Hat\nversion {version}\nlinux /vmlinuz-{version}\n"
            f"initrd /initramfs-{version}.img\noptions {options}\n"
        )
        for version in (NEW, OLD)
    }
    esp = {f"/boot/efi/EFI/redhat/{n}": n for n in ("shimx64.efi", "grubx64.efi", "mmx64.efi")}
    return {
        **chroots.kernel(NEW),
        **chroots.kernel(OLD),
        **entries,
        **esp,
        "/boot/efi/EFI/redhat/grub.cfg": "set prefix=($dev)/grub2\nconfigfile $prefix/grub.cfg\n",
        "/boot/grub2/grub.cfg": "insmod blscfg\nblscfg\n",
        "/boot/grub2/grubenv": GRUBENV(NEW).ljust(1024, "#"),
        "/etc/default/grub": 'GRUB_CMDLINE_LINUX="resume=/dev/sda3 rd.lvm.lv=system/root rhgb"\n',
        "/etc/fstab": FSTAB,
        "/etc/kernel/cmdline": options + "\n",
        "/etc/lvm/devices/system.devices": "IDTYPE=sys_wwid IDNAME=naa.6000c29\n",
        "/etc/selinux/config": "SELINUX=enforcing\nSELINUXTYPE=targeted\n",
        "/etc/selinux/targeted/contexts/files/file_contexts": "",
        "/usr/lib/systemd/system/selinux-autorelabel.service": "",
    }


def suse() -> dict[str, str | bytes]:
    """SUSE 15 from an array controller: GRUB's own menu, a filter, images with parameters."""
    menu = (
        'set default="0"\n'
        "menuentry 'SLES 15' $menuentry_id_option 'simple' {\n"
        f"\tlinuxefi /vmlinuz-{SUSE} root=/dev/mapper/system-root splash=silent\n"
        f"\tinitrdefi /initrd-{SUSE}\n}}\n"
    )
    esp = {f"/boot/efi/EFI/sles/{n}": n for n in ("shim.efi", "grub.efi", "MokManager.efi")}
    return {
        **chroots.kernel(SUSE, name="initrd-{}", parameters="rd.lvm.lv=system/root"),
        **esp,
        "/boot/efi/EFI/sles/grub.cfg": "search --fs-uuid x\nconfigfile ($root)/grub2/grub.cfg\n",
        "/boot/grub2/grub.cfg": menu,
        "/boot/grub2/device.map": "(hd0) /dev/disk/by-id/scsi-36000c29\n",
        "/etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n',
        "/etc/default/grub_installdevice": "/dev/disk/by-id/scsi-36000c29\nactivate\n",
        "/etc/fstab": FSTAB.replace("/dev/sda1", "/dev/cciss/c0d0p1"),
        "/etc/lvm/lvm.conf": 'devices {\n    filter = [ "a|^/dev/cciss/|", "r|.*|" ]\n}\n',
        "/etc/multipath/wwids": "/3600508b1/\n",
    }


def described(family: Family) -> GuestOS:
    found = chroots.on_lvm(family, "a guest")
    changes = {"firmware": FirmwareKind.UEFI, "mounts": (*found.mounts, ESP)}
    return found.model_copy(update=changes)


def morph(guest: ChrootedGuest, found: GuestOS) -> list[str]:
    options = MorphOptions()
    chosen = [s for s in STEPS if name(s) in BOOT and s.applies_to(found, options)]
    reports = [perform(step, guest, found, options) for step in chosen]
    return [report.step for report in reports if report.outcome.changed]


@pytest.mark.parametrize(
    ("case", "family", "changed"),
    [
        ("redhat9", Family.RED_HAT, {"device-names", "old-disks", "serial-console",
                                     "efi-fallback", "initramfs", "selinux-labels"}),
        ("sles15", Family.SUSE, {"device-names", "old-disks", "serial-console", "efi-fallback",
                                 "initramfs"}),
    ],
)  # fmt: skip
def test_the_tree_changes_as_recorded_and_once(
    tmp_path: Path, chroot_template: Path, case: str, family: Family, changed: set[str]
) -> None:
    files = red_hat() if family is Family.RED_HAT else suse()
    guest = chroots.guest(tmp_path, chroot_template, files)
    found = described(family)
    before = guest.photograph()
    assert set(morph(guest, found)) == changed
    after = guest.photograph()
    calls = "".join(f"{call}\n" for call in guest.calls if "--help" not in call)
    changes = difference(before, after) + "programs called:\n" + calls
    recorded = GOLDEN / f"{case}-boot.diff"
    if os.environ.get("TRADEWIND_RECORD_GOLDEN"):
        recorded.write_text(changes)
    assert changes == recorded.read_text()
    assert morph(guest, found) == []
    assert guest.photograph() == after
