# SPDX-License-Identifier: Apache-2.0
"""Guests of other families in real chroots, with made-up programs that write down their calls."""

from collections.abc import Mapping
from pathlib import Path

from tests.fakes.chrooted import ChrootedGuest
from tests.fakes.cpio import image
from tradewind.model.guest import Family, FileSystem, GuestOS, Layer, LayerKind, Mount

OLD, NEW = "5.14.0-70.el9.x86_64", "5.14.0-503.el9.x86_64"
SUSE = "6.4.0-150600.23-default"
DRIVERS = ("virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net", "sd_mod", "xfs", "dm_mod")
PROGRAMS = ("usr/sbin/lvm",)
BEFORE = ("ahci", "sd_mod", "xfs", "dm_mod", "usr/sbin/lvm")

# A fake dracut: the last two arguments are the image and the version.
DRACUT = """
[ "$1" != --help ] || { echo "  --compress [C]"; echo "  --no-hostonly-cmdline  no"; exit; }
while [ $# -gt 2 ]; do shift; done
[ -e "/var/lib/fake/$2" ] || { echo "dracut: no space left" >&2; exit 1; }
cat "/var/lib/fake/$2" >"$1"
"""


def kernel(version: str, *, holds: tuple[str, ...] = BEFORE, name: str = "initramfs-{}.img",
           parameters: str = "") -> dict[str, str | bytes]:  # fmt: skip
    """Lay down one kernel: its modules, its image, and what a fake dracut will make of it."""
    modules = {f"/lib/modules/{version}/kernel/drivers/{d}.ko.xz": "" for d in DRIVERS}
    return {
        **modules,
        f"/lib/modules/{version}/modules.dep": "",
        f"/boot/vmlinuz-{version}": "a kernel",
        f"/boot/{name.format(version)}": image(holds, version, parameters=parameters),
        f"/var/lib/fake/{version}": image(DRIVERS + PROGRAMS, version),
    }


def on_lvm(family: Family, pretty_name: str) -> GuestOS:
    """Describe a system on one logical volume, with /boot beside it."""
    layer = Layer(kind=LayerKind.LVM, name="system/root", uuid="lv-uuid", device="/dev/dm-0")
    disk = "/dev/disk/by-id/virtio-twdisk0"
    root = FileSystem(
        device="/dev/mapper/system-root", disk=0, partition=2, fstype="xfs", uuid="root-uuid",
        layers=(layer,), names=("/dev/mapper/system-root", "/dev/system/root"),
    )  # fmt: skip
    boot = FileSystem(device=f"{disk}-part1", disk=0, partition=1, fstype="xfs", uuid="boot-uuid")
    swap = FileSystem(device=f"{disk}-part3", disk=0, partition=3, fstype="swap", uuid="swap-uuid")
    return GuestOS(
        family=family,
        id="rhel" if family is Family.RED_HAT else "sles",
        version="9.5",
        pretty_name=pretty_name,
        mounts=(
            Mount(device=root.device, path="/", fstype="xfs"),
            Mount(device=boot.device, path="/boot", fstype="xfs"),
        ),
        kernels=(NEW, OLD),
        filesystems=(boot, root, swap),
    )


def guest(
    tmp_path: Path, template: Path, files: Mapping[str, str | bytes], dracut: str = DRACUT
) -> ChrootedGuest:
    """Build it, with the programs that both families have."""
    made = ChrootedGuest(tmp_path / "guest", template, files)
    made.program("lsblk", "echo lvm; echo part; echo disk")
    made.program("dracut", dracut)
    return made
