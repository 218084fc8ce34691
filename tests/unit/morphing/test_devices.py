# SPDX-License-Identifier: Apache-2.0
"""Device names that change, LVM's filters, and what the root stands on."""

from pathlib import Path

import pytest

from tests.fakes.chrooted import ChrootedGuest
from tests.fakes.guest_tree import FakeGuestTree
from tests.unit.morphing.conftest import filesystem
from tradewind.errors import MorphingError
from tradewind.model.guest import Family, GuestOS, Layer, LayerKind, MorphOptions
from tradewind.morphing.boot import devices, lvmfilter
from tradewind.morphing.steps.linux import device_names, early_volumes, old_disks

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
