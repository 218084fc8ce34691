# SPDX-License-Identifier: Apache-2.0
"""What of a guest's fstab is mounted, what is left out with a note, and what is an error."""

import pytest

from tradewind.errors import InspectionError
from tradewind.model.guest import FileSystem, Mount
from tradewind.morphing.linux import fstab

TOP = Mount(device="/dev/vdb1", path="/", fstype="ext4")


def filesystem(disk: int, partition: int, fstype: str = "ext4", **more: str) -> FileSystem:
    return FileSystem(
        device=f"/dev/disk{disk}-part{partition}", disk=disk, partition=partition, fstype=fstype,
        uuid=f"u{disk}{partition}", disk_names=(f"/dev/{'vs'[disk]}da",), **more,
    )  # fmt: skip


def read(text: str, *filesystems: FileSystem) -> fstab.SystemMounts:
    return fstab.system_mounts(text, TOP, fstab.FstabDisks(filesystems))


@pytest.mark.parametrize(
    "line",
    [
        "tmpfs /var/tmp tmpfs defaults 0 0",
        "/tmp /var/tmp none bind 0 0",
        "/srv/opt /opt none rw,rbind 0 0",
        "/dev/shm /var/tmp none bind 0 0",
        "nfs.example:/export /var/www nfs defaults 0 0",
        "nfs.example:/export /usr/local nfs4 hard 0 0",
        "[2001:db8::1]:/export /opt nfs defaults 0 0",
        "//smb.example/share /opt/share cifs credentials=/etc/smb 0 0",
        "overlay /etc overlay lowerdir=/etc,upperdir=/u,workdir=/w 0 0",
        "/srv/images/tools.img /opt/tools ext4 loop 0 0",
        "/srv/images/tools.iso /opt/tools iso9660 loop,ro 0 0",
        "/dev/loop3 /opt/tools ext4 ro 0 0",
        "rpc_pipefs /var/lib/nfs/rpc_pipefs rpc_pipefs defaults 0 0",
        "rpool/var /var/lib zfs defaults 0 0",
        "host1:/vol /var/gluster glusterfs defaults 0 0",
        "shared /opt/shared virtiofs defaults 0 0",
        "/dev/sr0 /opt/cd auto,iso9660 ro 0 0",
        "/dev/hdc /opt/cd iso9660 ro 0 0",
        "/dev/zram0 /var/tmp ext4 defaults 0 0",
        "none /var/lock ramfs defaults 0 0",
    ],
)
def test_what_is_no_disk_is_left_out_with_a_note(line: str) -> None:
    found = read(line + "\n", filesystem(0, 1))
    assert found.mounts == (TOP,)
    spec, path = line.split()[:2]
    assert found.notes == (f"{path} is on {spec}, which is no disk of the machine; it is left out",)


def test_a_name_of_another_bus_is_no_disk_of_this_one() -> None:
    found = read("/dev/sda2 /var ext4 rw 0 2\n", filesystem(0, 2), filesystem(1, 2))
    assert [m.device for m in found.mounts] == [TOP.device, "/dev/disk1-part2"]
    assert found.notes == ("/dev/sda2 (/var) is taken to be partition 2 of disk 2",)
    with pytest.raises(InspectionError, match="/var is on /dev/sda2") as caught:
        read("/dev/sda2 /var ext4 rw 0 2\n", filesystem(0, 2))
    assert "name it by its UUID in the fstab on the source" in caught.value.hint


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/dev/vg/opt /opt ext4", "is on none of the machine's disks"),
        ("UUID=u01 /opt btrfs", "could be partition 1 of disk 1, partition 1 of disk 2"),
        ("UUID=u05 /opt zonefs", "a zonefs file system, which cannot be mounted"),
    ],
)
def test_what_the_guest_can_do_without_is_left_out(line: str, words: str) -> None:
    twin = filesystem(1, 1, "btrfs").model_copy(update={"uuid": "u01", "member": "one"})
    there = (filesystem(0, 1, "btrfs", member="one"), twin, filesystem(0, 5, "zonefs"))
    found = read(line + " nofail 0 0\n", *there)
    assert found.mounts == (TOP,)
    (note,) = found.notes
    assert words in note
    assert note.endswith("; it is left out")
    with pytest.raises(InspectionError, match=words) as caught:
        read(line + " rw 0 0\n", *there)
    assert caught.value.hint
