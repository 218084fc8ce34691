# SPDX-License-Identifier: Apache-2.0
"""Which disk a kernel's own name means, by the buses and targets of the source."""

import pytest

from tradewind.domainxml.machine import plugged_disks
from tradewind.morphing.linux import kernel_names
from tradewind.morphing.linux.kernel_names import SourceDisk


def meant(name: str, *disks: str, used: tuple[str, ...] = ()) -> list[int]:
    """The places of the disks that a name can mean; each disk is "target:bus"."""
    plugged = [SourceDisk(*disk.split(":")) for disk in disks]
    names = kernel_names.possible(plugged, frozenset(used))
    return [place for place, found in enumerate(names) if name in found]


@pytest.mark.parametrize(
    ("name", "disks", "places"),
    [
        ("/dev/vda", ("vda:virtio", "sda:scsi"), [0]),
        ("/dev/sda", ("vda:virtio", "sda:scsi"), [1]),
        ("/dev/sdb", ("vda:virtio", "sda:scsi"), []),
        ("/dev/sda", ("vda:virtio", "sda:sata", "sdb:sata"), [1]),
        ("/dev/sdb", ("vda:virtio", "sda:usb", "sdb:usb"), [2]),
        ("/dev/hda", ("vda:virtio", "hda:ide"), [1]),
        ("/dev/sda", ("vda:virtio", "hda:ide"), [1]),
        ("/dev/xvda", ("xvda:xen",), [0]),
        ("/dev/sda", ("xvda:xen",), []),
        ("/dev/xvde", ("xvde:xen", "xvdf:xen"), [0]),
        ("/dev/nvme0n1", ("vda:virtio", "nvme0n1:nvme"), [1]),
        ("/dev/nvme1n1", ("nvme0n1:nvme", "nvme1n1:nvme"), [1]),
        ("/dev/nvme0n2", ("nvme0n1:nvme", "nvme0n2:nvme"), [1]),
        ("/dev/nvme0n1", ("vda:virtio",), []),
        ("/dev/cciss/c0d0", ("sda:scsi",), []),
        # Who says no bus may mean any driver; one of a second controller nobody can place.
        ("/dev/cciss/c0d1", (":", ":"), [1]),
        ("/dev/ida/c0d0", (":", ":"), [0]),
        ("/dev/cciss/c1d0", (":", ":"), []),
        ("/dev/sdb", ("a:", "b:", "c:"), [1]),
        ("/dev/sdb", ("a:lsilogic", "b:lsilogic"), [1]),
        ("/dev/sda", ("root:virtio-scsi", "data:virtio-blk"), [0]),
        # The target orders the disks of one bus, however they are listed.
        ("/dev/vda", ("vdb:virtio", "vda:virtio"), [1]),
        ("/dev/sdaa", ("sdaa:scsi", *(f"sd{c}:scsi" for c in "abcdefghijklmnopqrstuvwxyz")), [0]),
        # A CD-ROM drive had the target sda: kernels do not count it.
        ("/dev/sda", ("sdb:sata", "sdc:sata"), [0]),
        ("/dev/sdb", ("sdb:sata", "sdc:sata"), [1]),
        ("/dev/sdc", ("sdb:sata", "sdc:sata"), [1]),
        # Two drivers whose disks have one kind of names: found in either order.
        ("/dev/sda", ("sda:sata", "sdb:scsi"), [0, 1]),
        ("/dev/sda", ("hda:ide", "sda:scsi"), [0, 1]),
        ("/dev/vda", ("vda:virtio", "sda:", "sdb:"), [0, 1, 2]),
    ],
)
def test_a_name_counts_within_its_own_bus(
    name: str, disks: tuple[str, ...], places: list[int]
) -> None:
    assert meant(name, *disks) == places


def test_nothing_is_guessed_where_no_bus_is_said_and_several_kinds_are_used() -> None:
    assert meant("/dev/sda", ":", ":", used=("sd",)) == [0]
    assert meant("/dev/sda", ":", ":", used=("sd", "vd")) == []
    assert meant("/dev/vda", ":", ":", used=("sd", "vd")) == []


@pytest.mark.parametrize(
    ("device", "disk", "partition"),
    [
        ("/dev/sda", "/dev/sda", 0),
        ("/dev/sdab12", "/dev/sdab", 12),
        ("/dev/nvme0n1p3", "/dev/nvme0n1", 3),
        ("/dev/nvme10n2", "/dev/nvme10n2", 0),
        ("/dev/mmcblk0p1", "/dev/mmcblk0", 1),
        ("/dev/cciss/c0d1p2", "/dev/cciss/c0d1", 2),
    ],
)
def test_names_are_split(device: str, disk: str, partition: int) -> None:
    assert kernel_names.split(device) == (disk, partition)
    assert kernel_names.joined(disk, partition) == device


@pytest.mark.parametrize(
    "device", ["/dev/sr0", "/dev/sda1p1", "/dev/nvme0n1p", "/dev/mapper/vg-root", "/dev/sda_", ""]
)
def test_other_names_are_none_of_a_kernel(device: str) -> None:
    assert kernel_names.split(device) is None


@pytest.mark.parametrize(
    ("device", "family"),
    [
        ("/dev/disk/by-id/ata-QEMU_HARDDISK_QM00001-part1", "sd"),
        ("/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi0-part1", "sd"),
        ("/dev/disk/by-id/wwn-0x5000c500a0b1c2d3", "sd"),
        ("/dev/disk/by-id/virtio-root-part2", "vd"),
        ("/dev/disk/by-id/nvme-eui.0025388b710116a1-part1", "nvme"),
        ("/dev/disk/by-path/pci-0000:00:1f.2-ata-1-part2", "sd"),
        ("/dev/disk/by-path/virtio-pci-0000:00:05.0-part1", "vd"),
        ("/dev/disk/by-path/virtio-pci-0000:00:05.0-scsi-0:0:0:0-part1", "sd"),
        ("/dev/disk/by-path/pci-0000:00:05.0-scsi-0:0:0:0-part1", "sd"),
        ("/dev/disk/by-path/pci-0000:00:04.0-nvme-1-part1", "nvme"),
        ("/dev/disk/by-path/pci-0000:00:05.0-part1", ""),
        ("/dev/mapper/mpatha-part2", "sd"),
    ],
)
def test_hardware_names_tell_the_driver(device: str, family: str) -> None:
    assert kernel_names.hardware_family(device) == family


def test_drives_for_media_say_nothing_of_the_disks() -> None:
    fstab = (
        "/dev/sda1 / ext4 rw 0 1\n# was /dev/vda1\n/dev/hdc /media/cdrom udf,iso9660 noauto 0 0\n"
        "/srv/dev/vda1 /x none bind\n"
    )
    assert kernel_names.used(fstab, "swap /dev/sda2 /dev/urandom swap") == {"sd"}
    assert kernel_names.used(fstab, "swap /dev/nvme0n1p2 none luks") == {"sd", "nvme"}


def test_kernels_count_luns_that_are_not_moved_and_no_cdroms() -> None:
    xml = """<domain><devices>
      <disk type='file' device='cdrom'><target dev='sda' bus='scsi'/></disk>
      <disk type='block' device='lun'><target dev='sdb' bus='scsi'/></disk>
      <disk type='file' device='disk'><target dev='sdc' bus='scsi'/></disk>
      <disk type='file'><target dev='vda' bus='virtio'/></disk>
      <disk type='file' device='floppy'><target dev='fda' bus='fdc'/></disk>
    </devices></domain>"""
    assert plugged_disks(xml) == (("sdb", "scsi"), ("sdc", "scsi"), ("vda", "virtio"))
