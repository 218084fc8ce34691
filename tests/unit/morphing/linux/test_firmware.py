# SPDX-License-Identifier: Apache-2.0
"""What a firmware finds, labels, and settings of the old platform."""

import os
import struct
from pathlib import Path

import pytest

from tests.fakes.chrooted import ChrootedGuest
from tests.unit.morphing import chroots
from tradewind.errors import MorphingError
from tradewind.model.guest import Family, GuestDisk, MorphOptions, Mount, PartitionTable
from tradewind.model.machine import FirmwareKind
from tradewind.morphing.linux.steps import boot_code, efi_fallback, old_hardware, selinux_labels

OPTIONS = MorphOptions()
RED_HAT = chroots.on_lvm(Family.RED_HAT, "Red Hat Enterprise Linux 9.5")
ESP = Mount(device="/dev/vdb15", path="/boot/efi", fstype="vfat")
UEFI = RED_HAT.model_copy(update={"firmware": FirmwareKind.UEFI, "mounts": (*RED_HAT.mounts, ESP)})
TOP = "/boot/efi/EFI"


@pytest.mark.parametrize(
    ("vendor", "names", "loader", "copied"),
    [
        ("debian", ("shimx64.efi", "grubx64.efi", "mmx64.efi", "fbx64.efi"), "shimx64.efi",
         {"grubx64.efi", "mmx64.efi"}),
        ("sles", ("shim.efi", "grub.efi", "MokManager.efi", "grub.cfg"), "shim.efi",
         {"grub.efi", "MokManager.efi", "grub.cfg"}),
        ("systemd", ("systemd-bootx64.efi",), "systemd-bootx64.efi", set()),
        ("redhat", ("grub.efi", "grub.conf"), "grub.efi", {"BOOTX64.conf"}),
    ],
)  # fmt: skip
def test_each_vendors_loader_is_put_where_any_firmware_looks(
    tmp_path: Path, chroot_template: Path, vendor: str, names: tuple[str, ...], loader: str,
    copied: set[str],
) -> None:  # fmt: skip
    files = {f"{TOP}/{vendor}/{name}": name for name in names}
    guest = ChrootedGuest(tmp_path / "guest", chroot_template, files)
    assert efi_fallback.applies_to(UEFI, OPTIONS)
    outcome = efi_fallback.apply(guest, UEFI, OPTIONS)
    assert outcome.summary == f"{vendor}/{loader} copied to BOOTX64.EFI"
    assert guest.read_text(f"{TOP}/BOOT/BOOTX64.EFI") == loader
    assert set(guest.list(f"{TOP}/BOOT")) == {"BOOTX64.EFI", *copied}
    assert not efi_fallback.apply(guest, UEFI, OPTIONS).changed


def test_a_shim_that_would_start_nothing_gets_its_grub(
    tmp_path: Path, chroot_template: Path
) -> None:
    files = {f"{TOP}/debian/{name}": name for name in ("shimx64.efi", "grubx64.efi")}
    files[f"{TOP}/BOOT/BOOTX64.EFI"] = "shimx64.efi"
    guest = ChrootedGuest(tmp_path / "guest", chroot_template, files)
    assert efi_fallback.apply(guest, UEFI, OPTIONS).summary == "BOOTX64.EFI got the GRUB of debian"
    assert not efi_fallback.apply(guest, UEFI, OPTIONS).changed


def test_a_partition_without_a_loader_is_refused(tmp_path: Path, chroot_template: Path) -> None:
    guest = ChrootedGuest(tmp_path / "guest", chroot_template, {f"{TOP}/debian/shimx64.efi": ""})
    with pytest.raises(MorphingError, match="no boot loader is in /boot/efi/EFI"):
        efi_fallback.apply(guest, UEFI, OPTIONS)


def test_a_unified_image_alone_is_started_by_boot_entries(
    tmp_path: Path, chroot_template: Path
) -> None:
    files = {f"{TOP}/Linux/abc-6.12.efi": "a kernel"}
    outcome = efi_fallback.apply(
        ChrootedGuest(tmp_path / "guest", chroot_template, files), UEFI, OPTIONS
    )
    assert not outcome.done
    assert "bootctl install" in outcome.remedy


def test_a_partition_that_is_not_mounted_is_told(tmp_path: Path, chroot_template: Path) -> None:
    guest = ChrootedGuest(tmp_path / "guest", chroot_template, {})
    hidden = UEFI.model_copy(update={"mounts": RED_HAT.mounts, "esp": "/dev/vdb15"})
    assert not efi_fallback.apply(guest, hidden, OPTIONS).done


def sector(code: bytes, *, core: int = 0, active: int = 0) -> bytes:
    made = bytearray(512)
    made[: len(code)] = code
    made[0x5C:0x64] = struct.pack("<Q", core)
    if active:
        made[446] = 0x80
        made[454:458] = struct.pack("<I", active)
    made[510:] = b"\x55\xaa"
    return bytes(made)


GRUB = b"\xeb\x63" + b"\0" * 0x170 + b"GRUB "
NOTHING = b"\0" * 512


@pytest.mark.parametrize(
    ("disk", "table", "said"),
    [
        (sector(GRUB, core=1) + b"\x52" * 512, PartitionTable.MBR, "GRUB is on disk 1"),
        (sector(GRUB, core=1) + NOTHING, PartitionTable.MBR, "not the rest of it"),
        (sector(GRUB, core=2**62) + NOTHING, PartitionTable.MBR, "not the rest of it"),
        (sector(GRUB, core=1) + b"\x52" * 512, PartitionTable.GPT, "no BIOS boot partition"),
        (NOTHING, PartitionTable.MBR, "has no boot sector"),
        (sector(b""), PartitionTable.MBR, "has no code in its boot sector"),
        (sector(b"\xfa", active=1) + sector(b"\xfa"), PartitionTable.MBR, "starts partition 1"),
        (sector(b"\xfa", active=1) + NOTHING, PartitionTable.MBR, "which has no boot sector"),
        (b"", PartitionTable.NONE, "has no boot sector"),
    ],
)
def test_what_a_bios_finds(
    tmp_path: Path, chroot_template: Path, disk: bytes, table: PartitionTable, said: str
) -> None:
    guest = ChrootedGuest(tmp_path / "guest", chroot_template, {"/dev/vdb": disk})
    os = RED_HAT.model_copy(update={"disks": (GuestDisk(device="/dev/vdb", table=table),)})
    assert boot_code.applies_to(os, OPTIONS)
    outcome = boot_code.apply(guest, os, OPTIONS)
    assert said in outcome.summary
    assert outcome.done is ("is on disk" in outcome.summary)


def test_boot_code_on_another_disk_is_named(tmp_path: Path, chroot_template: Path) -> None:
    files = {"/dev/vdb": NOTHING, "/dev/vdc": sector(GRUB, core=1) + b"\x52" * 512}
    guest = ChrootedGuest(tmp_path / "guest", chroot_template, files)
    disks = tuple(GuestDisk(device=d, table=PartitionTable.MBR) for d in files)
    outcome = boot_code.apply(guest, RED_HAT.model_copy(update={"disks": disks}), OPTIONS)
    assert outcome.remedy == "GRUB is on disk 2: let the machine start from it"


SPEC = "/etc/selinux/targeted/contexts/files/file_contexts"
READER = "/usr/lib/systemd/system/selinux-autorelabel.service"
ENFORCING = {"/etc/selinux/config": "# x\nSELINUX=enforcing\nSELINUXTYPE=targeted\n", SPEC: ""}
# Asks for a label for each file of the list that does not have it, as setfiles 3.4 does.
SETFILES = """
while [ $# -gt 1 ]; do [ "$1" = -f ] && list=$2; shift; done
tr '\\0' '\\n' <"$list" | grep -v -e relabel -e calls | while read -r path; do
    has=$(stat -c %C "$path" 2>/dev/null | tr -d '\\0')
    [ "$has" = system_u:object_r:etc_t:s0 ] ||
        echo "Would relabel $path from $has to system_u:object_r:etc_t:s0"
done
"""


def test_what_changed_is_labelled_and_looked_at(tmp_path: Path, chroot_template: Path) -> None:
    files = {**ENFORCING, "/usr/sbin/policy-rc.d": ""}
    guest = ChrootedGuest(tmp_path / "guest", chroot_template, files)
    guest.program("setfiles", SETFILES)
    (guest.root / "usr/sbin/policy-rc.d").write_text("placed when the guest was mounted")
    guest.put("/etc/changed", "afterwards")
    described = RED_HAT.model_copy(update={"mounts": RED_HAT.mounts[:1]})
    outcome = selinux_labels.apply(guest, described, OPTIONS)
    assert outcome.changed
    assert outcome.summary.startswith("SELinux is enforcing; ")
    label = os.getxattr(guest.root / "etc/changed", "security.selinux")
    assert label == b"system_u:object_r:etc_t:s0\0"
    assert not guest.exists("/.autorelabel")


def test_what_cannot_be_labelled_is_at_the_start(tmp_path: Path, chroot_template: Path) -> None:
    guest = ChrootedGuest(tmp_path / "guest", chroot_template, {**ENFORCING, READER: ""})
    outcome = selinux_labels.apply(guest, RED_HAT, OPTIONS)
    assert outcome.summary == "SELinux is enforcing; it relabels at the first start"
    assert guest.read_text("/.autorelabel") == "-F\n"
    assert not selinux_labels.apply(guest, RED_HAT, OPTIONS).changed


def test_nobody_who_relabels_is_told(tmp_path: Path, chroot_template: Path) -> None:
    guest = ChrootedGuest(tmp_path / "guest", chroot_template, ENFORCING)
    outcome = selinux_labels.apply(guest, RED_HAT, OPTIONS)
    assert not outcome.done
    assert "restorecon" in outcome.remedy


@pytest.mark.parametrize("config", ["SELINUX=disabled\nSELINUXTYPE=targeted\n", ""])
def test_without_selinux_nothing_is_labelled(
    tmp_path: Path, chroot_template: Path, config: str
) -> None:
    files = ENFORCING | {"/etc/selinux/config": config}
    guest = ChrootedGuest(tmp_path / "guest", chroot_template, files)
    assert selinux_labels.apply(guest, RED_HAT, OPTIONS).summary == "SELinux is not in use"


def test_drivers_of_the_old_platform_are_replaced(tmp_path: Path, chroot_template: Path) -> None:
    files = {
        "/etc/modprobe.conf": (
            "alias eth0 vmxnet3\nalias eth1 tg3\nalias scsi_hostadapter mptbase\n"
            "alias scsi_hostadapter1 mptspi\nalias scsi_hostadapter2 usb-storage\n"
        ),
        "/etc/X11/xorg.conf": 'Section "Device"\n  Driver "vmware"\nEndSection\n',
        "/etc/X11/xorg.conf.d/00-keyboard.conf": 'Driver "libinput"\n',
        "/etc/init.d/kudzu": "",
        "/etc/rc3.d/S05kudzu": "",
    }
    guest = ChrootedGuest(tmp_path / "guest", chroot_template, files)
    guest.program("chkconfig", "rm -f /etc/rc3.d/S05kudzu")
    outcome = old_hardware.apply(guest, RED_HAT, OPTIONS)
    assert outcome.changed
    assert guest.read_text("/etc/modprobe.conf") == (
        "alias eth0 virtio_net\nalias eth1 tg3\nalias scsi_hostadapter virtio_blk\n"
        "alias scsi_hostadapter2 usb-storage\n"
    )
    assert not guest.exists("/etc/X11/xorg.conf")
    assert guest.exists("/etc/X11/xorg.conf.d/00-keyboard.conf")
    assert guest.calls == ["chkconfig kudzu off"]
    assert not old_hardware.apply(guest, RED_HAT, OPTIONS).changed
