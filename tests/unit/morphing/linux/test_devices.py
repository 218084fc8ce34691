# SPDX-License-Identifier: Apache-2.0
"""Device names that change, LVM's filters, and what the root stands on."""

import subprocess
from pathlib import Path

import pytest

from tests.fakes.chrooted import ChrootedGuest
from tests.fakes.guest_tree import FakeGuestTree
from tests.unit.morphing.conftest import filesystem
from tradewind.errors import MorphingError
from tradewind.model.guest import Family, FileSystem, GuestOS, Layer, LayerKind, MorphOptions
from tradewind.morphing.linux.boot import devices, lvmfilter
from tradewind.morphing.linux.steps import device_names, early_volumes, old_disks

OPTIONS = MorphOptions()
LUKS = Layer(kind=LayerKind.LUKS, name="crypt", uuid="luks-uuid")
ARRAY = Layer(kind=LayerKind.MD, name="root", uuid="1:2:3:4")


@pytest.fixture
def layered(found: GuestOS) -> GuestOS:
    """A system whose root is encrypted on an array, whose other disk holds plain file systems."""
    root = filesystem(0, 3, "ext4").model_copy(
        update={"device": found.mounts[0].device, "layers": (LUKS, ARRAY)}
    )
    home = filesystem(0, 4, "ext4").model_copy(update={"layers": (LUKS,)})
    return found.model_copy(update={"filesystems": (root, home, filesystem(1, 1, "ext4"))})


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("/etc/fstab", "/dev/sda1 / ext4", "UUID=01-uuid / ext4"),
        ("/etc/fstab", "# /dev/sda1 / ext4", "# /dev/sda1 / ext4"),
        ("/etc/fstab", "/dev/sda10 / ext4", "/dev/sda10 / ext4"),
        ("/etc/fstab", "/dev/cciss/c0d1p1 /d ext4", "UUID=11-uuid /d ext4"),
        ("/etc/fstab", "/dev/disk/by-id/ata-VBOX-part5 none swap", "UUID=05-uuid none swap"),
        ("/etc/fstab", "/dev/disk/by-id/ata-VBOX-part1 / ext4", None),
        ("/etc/fstab", "/dev/mapper/mpatha-part5 none swap", "UUID=05-uuid none swap"),
        ("/etc/fstab", "/dev/mapper/vg-root / ext4", None),
        ("/etc/fstab", "/dev/disk/by-id/dm-name-vg-root / ext4", None),
        ("/etc/default/grub", 'X="root=/dev/nvme1n1p1"', 'X="root=UUID=11-uuid"'),
        ("/boot/grub/grub.cfg", "insmod xfs_root=/dev/sda1", None),
        ("/etc/kernel/cmdline", "resume=/dev/sda5 ro", "resume=UUID=05-uuid ro"),
        ("/etc/systemd/system/srv.mount", "What=/dev/sdb1", "What=/dev/disk/by-uuid/11-uuid"),
    ],
)
def test_names_that_change_become_uuids(
    found: GuestOS, path: str, before: str, after: str | None
) -> None:
    assert devices.renamed(path, before + "\n", found) == (after or before) + "\n"


def test_an_encrypted_partition_is_named_by_its_container(layered: GuestOS) -> None:
    text = devices.renamed("/etc/crypttab", "crypt /dev/sda4 none luks\n", layered)
    assert text == "crypt UUID=luks-uuid none luks\n"
    part_of_array = "crypt /dev/sda3 none luks\n"
    assert devices.renamed("/etc/crypttab", part_of_array, layered) == part_of_array
    assert devices.left("/etc/crypttab", part_of_array) == ["/dev/sda3"]


def place(disk: int, partition: int, fstype: str = "", **more: str) -> FileSystem:
    """What lies on disk 0 ("vda" at the source), 1 ("sda") or 2 (NVMe)."""
    name = ("/dev/vda", "/dev/sda", "/dev/nvme0n1")[disk]
    return FileSystem(
        device=f"/dev/disk{disk}-part{partition}", disk=disk, partition=partition, fstype=fstype,
        partuuid=f"p{disk}-{partition}", disk_names=(name,), **more,
    )  # fmt: skip


@pytest.fixture
def mixed(found: GuestOS) -> GuestOS:
    """Disks on several buses: VirtIO with the root, SCSI, NVMe, a container, a random swap."""
    filesystems = (
        place(0, 1, "ext4", uuid="root"),
        place(1, 1, "xfs", uuid="data"),
        place(1, 2, "xfs_external_log", uuid="data"),
        place(2, 1, "swap", uuid="swap"),
    )
    members = (place(1, 4, "crypto_LUKS", uuid="luks"),)
    empty = (place(1, 3), FileSystem(device="/dev/d3", disk=3, partition=0, fstype="",
                                     disk_names=("/dev/sdb",)))  # fmt: skip
    return found.model_copy(
        update={
            "filesystems": filesystems,
            "members": members,
            "partitions": (*filesystems, *members, *empty),
        }
    )


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("/etc/fstab", "/dev/vda1 / ext4 rw", "UUID=root / ext4 rw"),
        ("/etc/fstab", "/dev/sdb1 /srv xfs rw", None),
        ("/etc/fstab", "/dev/vdb1 /srv xfs rw", None),
        ("/etc/fstab", "/dev/nvme0n1p1 none swap sw", "UUID=swap none swap sw"),
        # The log of an XFS has the UUID of its file system.
        (
            "/etc/fstab",
            "/dev/sda1\t/srv/data xfs rw,logdev=/dev/sda2,x-systemd.requires=/dev/nvme0n1p1 0 2",
            "PARTUUID=p1-1\t/srv/data xfs rw,logdev=/dev/disk/by-partuuid/p1-2,"
            "x-systemd.requires=/dev/disk/by-partuuid/p2-1 0 2",
        ),
        ("/etc/fstab", "UUID=x /b btrfs device=/dev/sda3,device=/dev/sdz1", "UUID=x /b btrfs "
         "device=/dev/disk/by-partuuid/p1-3,device=/dev/sdz1"),
        ("/etc/fstab", "UUID=x /b ext4 x-systemd.requires=dev-sda1.device 0 0", None),
        ("/etc/fstab", "LABEL=/dev/sda1 /b ext4 rw", None),
        ("/etc/fstab", "host:/dev/sda1 /b nfs rw", None),
        ("/etc/crypttab", "cswap /dev/sda3 /dev/urandom swap",
         "cswap PARTUUID=p1-3 /dev/urandom swap"),
        ("/etc/crypttab", "c /dev/sda4 none luks", "c UUID=luks none luks"),
        ("/etc/crypttab", "c /dev/sda4 /dev/random swap", "c PARTUUID=p1-4 /dev/random swap"),
        ("/etc/crypttab", "c /dev/sda1 none plain", "c PARTUUID=p1-1 none plain"),
        ("/etc/crypttab", "c /dev/sda4 /dev/sda3 luks,header=/dev/sda2",
         "c UUID=luks /dev/disk/by-partuuid/p1-3 luks,header=/dev/disk/by-partuuid/p1-2"),
        ("/etc/crypttab", "# c /dev/sda4 none luks", None),
        ("/etc/crypttab", "cswap /dev/sdb /dev/urandom swap", None),
        ("/etc/kernel/cmdline", "root=/dev/vda1 resume=/dev/nvme0n1p1",
         "root=UUID=root resume=UUID=swap"),
        ("/etc/kernel/cmdline", "root=/dev/vda1 resume=/dev/vda5",
         "root=UUID=root resume=/dev/vda5"),
        ("/etc/kernel/cmdline", "rootflags=noatime,logdev=/dev/sda2 ro",
         "rootflags=noatime,logdev=/dev/disk/by-partuuid/p1-2 ro"),
        ("/etc/systemd/system/x.mount", "What=/dev/sda3", "What=/dev/disk/by-partuuid/p1-3"),
        ("/etc/systemd/system/x.mount", "Options=ro,logdev=/dev/sda2,rtdev=/dev/sdz1",
         "Options=ro,logdev=/dev/disk/by-partuuid/p1-2,rtdev=/dev/sdz1"),
    ],
)  # fmt: skip
def test_a_name_counts_only_within_its_bus(
    mixed: GuestOS, path: str, before: str, after: str | None
) -> None:
    assert devices.renamed(path, before + "\n", mixed) == (after or before) + "\n"


def test_what_is_left_is_told_with_its_reason(tmp_path: Path, mixed: GuestOS) -> None:
    files = {
        "/etc/crypttab": "cswap /dev/sdb /dev/urandom swap\n",
        "/etc/fstab": (
            "/dev/sdz1 /x ext4 rw 0 2\n/dev/disk/by-path/pci-0000:00:05.0-part1 /y ext4 rw 0 2\n"
            "UUID=x /b ext4 x-systemd.requires=dev-sda9.device 0 0\n"
        ),
    }
    outcome = device_names.apply(FakeGuestTree(tmp_path, files), mixed, OPTIONS)
    assert not outcome.changed
    assert sorted(outcome.remedy.split(". ")) == [
        "could be on several disks, look at: /etc/fstab: /dev/disk/by-path/pci-0000:00:05.0-part1",
        "on a moved disk, and nothing that stays names it, look at: /etc/crypttab: /dev/sdb",
        "on no moved disk, look at: /etc/fstab: /dev/sdz1; /etc/fstab: dev-sda9.device",
    ]


def test_the_uuid_of_a_copied_disk_names_nothing(mixed: GuestOS) -> None:
    copy = FileSystem(device="/dev/c1", disk=4, partition=1, fstype="ext4", uuid="root",
                      partuuid="own", disk_names=("/dev/vdb",))  # fmt: skip
    twice = mixed.model_copy(update={"filesystems": (*mixed.filesystems, copy)})
    text = "/dev/vda1 / ext4 rw 0 1\n/dev/vdb1 /old ext4 rw 0 2\n"
    assert devices.renamed("/etc/fstab", text, twice) == (
        "PARTUUID=p0-1 / ext4 rw 0 1\nPARTUUID=own /old ext4 rw 0 2\n"
    )
    copy = copy.model_copy(update={"partuuid": "p0-1"})
    twice = mixed.model_copy(update={"filesystems": (*mixed.filesystems, copy)})
    assert devices.renamed("/etc/fstab", text, twice) == text


def generated(folder: Path, program: str, **tables: str) -> str:
    """What systemd's own reader of a table makes of it."""
    folder.mkdir()
    for name, text in tables.items():
        (folder / name).write_text(text)
    environment = {name: str(folder / name) for name in tables}
    out = folder / "out"
    out.mkdir()
    subprocess.run(
        [f"/lib/systemd/system-generators/{program}", out, out, out],
        env=environment | {"SYSTEMD_PROC_CMDLINE": "x", "SYSTEMD_SYSROOT_FSTAB": "/dev/null"},
        check=True,
    )
    return "".join(unit.read_text() for unit in out.iterdir() if unit.is_file())


def test_systemd_reads_the_tables_as_they_are_meant(tmp_path: Path, mixed: GuestOS) -> None:
    crypttab = devices.renamed(
        "/etc/crypttab", "cswap /dev/sda3 /dev/urandom swap,cipher=aes-xts-plain64\n", mixed
    )
    unit = generated(tmp_path / "c", "systemd-cryptsetup-generator", SYSTEMD_CRYPTTAB=crypttab)
    assert "'/dev/disk/by-partuuid/p1-3' '/dev/urandom'" in unit
    line = "/dev/vda1 /srv xfs logdev=/dev/sda2,x-systemd.requires=/dev/nvme0n1p1 0 2\n"
    fstab = devices.renamed("/etc/fstab", line, mixed)
    unit = generated(tmp_path / "f", "systemd-fstab-generator", SYSTEMD_FSTAB=fstab)
    assert "What=/dev/disk/by-uuid/root" in unit
    assert "logdev=/dev/disk/by-partuuid/p1-2" in unit
    assert "Requires=dev-disk-by\\x2dpartuuid-p2\\x2d1.device" in unit


def test_grubs_environment_keeps_its_size(found: GuestOS) -> None:
    block = "# GRUB Environment Block\nkernelopts=root=/dev/sda1 ro\n".ljust(1024, "#")
    new = devices.renamed("/boot/grub2/grubenv", block, found)
    assert "kernelopts=root=UUID=01-uuid ro\n#" in new
    assert len(new) == 1024


def test_drives_for_media_are_no_disks(tmp_path: Path, found: GuestOS) -> None:
    fstab = "/dev/hdc /media/cdrom udf,iso9660 noauto 0 0\n/dev/sdd1 /mnt ext4 rw 0 0\n"
    guest = FakeGuestTree(tmp_path, {"/etc/fstab": fstab})
    outcome = device_names.apply(guest, found, OPTIONS)
    assert outcome.remedy == "on no moved disk, look at: /etc/fstab: /dev/sdd1"


@pytest.mark.parametrize(
    ("patterns", "hidden"),
    [
        ('"a|.*|"', ()),
        ('"a|^/dev/sd.*|", "r|.*|"', ("/dev/vda", "/dev/vdb2")),
        ('"r/^.dev.sd[b-z]/"', ("/dev/sdb2",)),
        ('"r|/dev/cdrom|"', ()),
        ('"a(^/dev/vda$)", "r(.*)"', ("/dev/vdb2", "/dev/sda", "/dev/sdb2")),
        ('"r|[|"', lvmfilter.DISKS),
    ],
)
def test_what_a_filter_hides(patterns: str, hidden: tuple[str, ...]) -> None:
    assert lvmfilter.hidden(patterns) == hidden


@pytest.mark.parametrize(
    "text",
    [
        'devices {\n    filter = [ "a|^/dev/sd[a-z]|", "r|.*|" ]\n    # filter = [ "r|.*|" ]\n}\n',
        'devices {\n\tglobal_filter=[\n\t\t"a|^/dev/sd|",\n\t\t"r|.*|"\n\t]\n}\n',
        'devices/filter = "r|/dev/vd.*|"\n',
    ],
)
def test_a_filter_that_hides_is_mended(text: str) -> None:
    assert lvmfilter.hides(text)
    new = lvmfilter.mended(text)
    assert lvmfilter.hides(new) == ()
    assert lvmfilter.mended(new) == new
    assert new.count("[") >= new.count("]")


def test_what_remembers_old_disks_is_set_aside(
    tmp_path: Path, chroot_template: Path, found: GuestOS
) -> None:
    files = {
        "/etc/lvm/devices/system.devices": "IDTYPE=sys_wwid\n",
        "/etc/multipath/bindings": "mpatha 3600\n",
        "/etc/lvm/lvm.conf": 'devices {\n  filter = [ "a|^/dev/sd|", "r|.*|" ]\n}\n',
    }
    guest = ChrootedGuest(tmp_path / "guest", chroot_template, files)
    outcome = old_disks.apply(guest, found, OPTIONS)
    assert outcome.summary.startswith("/etc/lvm/devices/system.devices, /etc/multipath/bindings")
    assert "hid /dev/vda, /dev/vdb2" in outcome.summary
    assert guest.exists("/var/backups/tradewind/etc/lvm/devices/system.devices")
    assert not old_disks.apply(guest, found, OPTIONS).changed


def test_debian_is_told_what_its_root_stands_on(
    tmp_path: Path, chroot_template: Path, layered: GuestOS
) -> None:
    files = {"/etc/crypttab": "other UUID=x none luks\ncrypt UUID=luks-uuid\n"}
    guest = ChrootedGuest(tmp_path / "guest", chroot_template, files)
    assert early_volumes.applies_to(layered, OPTIONS)
    outcome = early_volumes.apply(guest, layered, OPTIONS)
    assert outcome.summary == "completed /etc/mdadm/mdadm.conf, /etc/crypttab"
    assert guest.read_text("/etc/mdadm/mdadm.conf") == "ARRAY /dev/md/root UUID=1:2:3:4\n"
    assert guest.read_text("/etc/crypttab").splitlines() == [
        "other UUID=x none luks",
        "crypt UUID=luks-uuid none luks,initramfs",
    ]
    assert not early_volumes.apply(guest, layered, OPTIONS).changed


def test_arrays_of_data_disks_are_left_to_the_guest(found: GuestOS, layered: GuestOS) -> None:
    assert not early_volumes.applies_to(found, OPTIONS)
    other = layered.model_copy(update={"family": Family.RED_HAT})
    assert early_volumes.applies_to(other, OPTIONS)


def test_what_was_written_is_read_again(tmp_path: Path, layered: GuestOS) -> None:
    guest = FakeGuestTree(tmp_path, {"/etc/crypttab": "crypt UUID=x none luks\n"})
    guest.write_text = lambda *_: None  # type: ignore[method-assign]
    with pytest.raises(MorphingError, match=r"no mdadm\.conf names the array root"):
        early_volumes.apply(guest, layered, OPTIONS)
