# SPDX-License-Identifier: Apache-2.0
"""Every way in which a guest names a device, and the ones that mean nothing or too much."""

import pytest

from tradewind.model.guest import FileSystem, Layer, LayerKind
from tradewind.morphing.linux import names
from tradewind.morphing.linux.names import find, find_all, surely


def plain(disk: int, partition: int, **more: str) -> FileSystem:
    device = f"/dev/disk/by-id/virtio-tw{disk}-part{partition}"
    return FileSystem(device=device, disk=disk, partition=partition, fstype="ext4", **more)


def on(layer: Layer, **more: str) -> FileSystem:
    return FileSystem(
        device=layer.device, disk=0, partition=3, fstype="ext4", layers=(layer,), **more
    )


LV = on(
    Layer(kind=LayerKind.LVM, name="my-vg/root", uuid="aa-bb", group="cc-dd", device="/dev/dm-0"),
    uuid="1v",
)
LUKS = on(Layer(kind=LayerKind.LUKS, name="tresor", uuid="beef-01", device="/dev/dm-1"), uuid="1k")
MD = on(Layer(kind=LayerKind.MD, name="0", uuid="a:b:c:d", device="/dev/md100"), uuid="m0")
FOUND = names.named(
    (
        plain(0, 1, uuid="B007", label="a b/", partuuid="f00-01", partlabel="EFI System"),
        plain(1, 2, uuid="da7a"),
        LV,
        LUKS,
        MD,
    ),
    [("/dev/md/old", "A:B:C:D")],
)


@pytest.mark.parametrize(
    ("spec", "uuid"),
    [
        ("UUID=b007", "B007"),
        ("UUID='B007'", "B007"),
        ("LABEL=a b/", "B007"),
        ("PARTUUID=F00-01", "B007"),
        ("PARTLABEL=EFI System", "B007"),
        ("/dev/disk/by-uuid/b007", "B007"),
        ("/dev/disk/by-label/a\\x20b\\x2f", "B007"),
        ("/dev/disk/by-partuuid/f00-01", "B007"),
        ("/dev/disk/by-partlabel/EFI\\x20System", "B007"),
        ("/dev/disk/by-id/ata-QEMU_HARDDISK_QM00001-part1", "B007"),
        ("/dev/disk/by-path/pci-0000:00:1f.2-ata-1-part2", "da7a"),
        ("/dev/mapper/mpatha1", "B007"),
        ("/dev/mapper/mpatha-part2", "da7a"),
        ("/dev/sdb2", "da7a"),
        ("/dev/vdb2", "da7a"),
        ("/dev/xvdb2", "da7a"),
        ("/dev/nvme1n1p2", "da7a"),
        ("/dev/my-vg/root", "1v"),
        ("/dev/mapper/my--vg-root", "1v"),
        ("/dev/disk/by-id/dm-name-my--vg-root", "1v"),
        ("/dev/disk/by-id/dm-uuid-LVM-ccddaabb", "1v"),
        ("/dev/mapper/tresor", "1k"),
        ("/dev/mapper/luks-beef-01", "1k"),
        ("/dev/md0", "m0"),
        ("/dev/md/0", "m0"),
        ("/dev/md/old", "m0"),
        ("/dev/md127", "m0"),
        ("/dev/disk/by-id/md-uuid-a:b:c:d", "m0"),
    ],
)
def test_each_name_finds_its_device(spec: str, uuid: str) -> None:
    found = find(spec, FOUND)
    assert found is not None
    assert found.uuid == uuid


@pytest.mark.parametrize(
    "spec",
    ["UUID=", "LABEL=A B/", "/dev/sdc1", "/dev/sda3", "/dev/mapper/other", "tmpfs", "/dev/dm-0",
     "/dev/disk/by-id/ata-X-part9", "/dev/sr0", "UUID=../../b007"],
)  # fmt: skip
def test_other_names_find_nothing(spec: str) -> None:
    assert find(spec, FOUND) is None


def test_what_could_be_several_is_told_as_several() -> None:
    twins = (plain(0, 1, uuid="same"), plain(1, 1, uuid="same"))
    assert find_all("UUID=same", twins) == list(twins)
    assert find_all("/dev/disk/by-id/wwn-0x5-part1", twins) == list(twins)


def btrfs(*devices: str, **more: str) -> list[FileSystem]:
    return [
        plain(disk, 1, uuid="same", member=member, **more).model_copy(update={"fstype": "btrfs"})
        for disk, member in enumerate(devices)
    ]


def test_the_devices_of_one_btrfs_are_one_file_system_and_a_copy_is_another() -> None:
    assert len(find_all("UUID=same", btrfs("one", "two", "three"))) == 1
    assert len(find_all("UUID=same", btrfs("", ""))) == 1
    assert len(find_all("UUID=same", btrfs("one", "one"))) == 2
    assert len(find_all("UUID=same", btrfs("", "", partuuid="copied"))) == 2
    # Both disks of a pair were copied.
    assert len(find_all("UUID=same", btrfs("one", "two", "one", "two"))) == 4


def test_a_hardware_name_means_a_disk_of_its_bus() -> None:
    virtio, sata = plain(0, 1, uuid="v"), plain(1, 1, uuid="s")
    there = [
        virtio.model_copy(update={"disk_names": ("/dev/vda",)}),
        sata.model_copy(update={"disk_names": ("/dev/sda",)}),
    ]
    assert [f.uuid for f in find_all("/dev/disk/by-id/ata-X-part1", there)] == ["s"]
    assert [f.uuid for f in find_all("/dev/disk/by-id/virtio-X-part1", there)] == ["v"]
    assert find_all("/dev/disk/by-id/nvme-X-part1", there) == []


def test_two_arrays_are_not_guessed() -> None:
    other = MD.model_copy(
        update={"layers": (Layer(kind=LayerKind.MD, name="x", uuid="e", device="/dev/md101"),)}
    )
    assert find("/dev/md127", (*FOUND, other)) is None


def test_only_some_names_stay() -> None:
    assert surely("UUID=b007")
    assert surely("/dev/mapper/vg-root")
    assert surely("/dev/disk/by-id/dm-name-vg-root")
    assert not surely("/dev/sda1")
    assert not surely("/dev/disk/by-id/ata-X-part1")


def test_the_guests_tables_are_read() -> None:
    crypttab = "# name device\ntresor UUID=beef-01 none luks\n\nbroken\nswap /dev/sda3 /dev/urandom"
    assert list(names.containers(crypttab)) == [
        ("tresor", "UUID=beef-01", "none"),
        ("swap", "/dev/sda3", "/dev/urandom"),
    ]
    arrays = (
        "DEVICE partitions\nARRAY /dev/md0 metadata=1.2 UUID=a:b name=x\nARRAY\nMAILADDR root\n"
    )
    assert list(names.arrays(arrays)) == [("/dev/md0", "a:b")]
