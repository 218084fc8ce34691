# SPDX-License-Identifier: Apache-2.0
"""Inspection of real file systems (ext4 on loop devices), and of what lsblk says of others."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.local_remote import LocalRemote
from tests.unit.morphing.loop import attached, loop_device
from tradewind.errors import InspectionError
from tradewind.model.guest import Family, GuestOS
from tradewind.model.guest_keys import GuestKeys
from tradewind.model.machine import Disk, VirtualMachine
from tradewind.morphing.linux import worker_tools
from tradewind.morphing.linux.boot import devices
from tradewind.morphing.linux.inspect import InspectionHints, described, inspect
from tradewind.ports import Completed
from tradewind.units import MiB

BOOKWORM = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'
FSTAB = "UUID=r00t / ext4 defaults 0 1\n"


class Worker(LocalRemote):
    """A worker whose disks are loop devices: only lsblk's words are made up."""

    def __init__(self, listing: Sequence[Mapping[str, Any]], devices: Mapping[str, str]) -> None:
        self._listing = listing
        # Status, output and errors of what opens stacks; this machine has none of it.
        self.tools: dict[str, tuple[int, str, str]] = {
            "lvm": (1, "", "there is no LVM"),
            "cryptsetup": (0, "closed tradewind-luks-virtio-tw0-part1 2 \n", ""),
            "mdadm": (0, "array /dev/md100 1\nSAID=mdadm: not enough members\n", ""),
        }
        self._devices = devices
        # What it says it lacks; all of it comes when packages are asked for, if they do.
        self.lacks = ""
        self.installs = (0, "", "")

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        if any("lsblk" in word for word in argv):
            kernel_names = "".join(f"{disk['name']}\n" for disk in self._listing)
            told = json.dumps({"blockdevices": self._listing})
            return Completed(tuple(argv), 0, f"{kernel_names}\n{told}", "")
        if worker_tools._LOOK in argv:
            return Completed(tuple(argv), 0, self.lacks, "")
        if worker_tools._INSTALL in argv:
            self.lacks = "" if self.installs[0] == 0 else self.lacks
            return Completed(tuple(argv), *self.installs)
        for tool in ("lvm ", "mdadm ", "cryptsetup open", "device scan --forget"):
            if any(tool in word for word in argv):
                return Completed(tuple(argv), *self.tools.get(tool.split()[0], (0, "", "")))
        real = [self._devices.get(word, word) for word in argv]
        return super().run(real, stdin=stdin, timeout=timeout, check=check)


def folder(path: Path, files: Mapping[str, str]) -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def system(path: Path, **more: str) -> Path:
    """A root file system with a kernel; `more` replaces files (named by their last part)."""
    files = {
        "usr/lib/os-release": more.get("os_release", BOOKWORM),
        "etc/fstab": more.get("fstab", FSTAB),
        "usr/lib/modules/6.1.0-9-amd64/x": "",
        "usr/lib/modules/6.1.0-18-amd64/x": "",
        "usr/lib/modules/6.1.0-20-amd64/x": "",
        "boot/vmlinuz-6.1.0-9-amd64": "",
        "boot/vmlinuz-6.1.0-18-amd64": "",
    }
    root = folder(path, files)
    (root / "lib").symlink_to("usr/lib")
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    return root


def part(number: int, fstype: str, disk: str = "vdb", **more: str) -> dict[str, Any]:
    return {"name": f"/dev/{disk}{number}", "fstype": fstype, **more}


def disk(name: str, *children: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"name": f"/dev/{name}", "fstype": None, "children": list(children), **more}


@contextlib.contextmanager
def worker(
    listing: Sequence[Mapping[str, Any]], contents: Mapping[str, Path], tmp_path: Path
) -> Iterator[Worker]:
    """Lend a worker; `contents` are folders for "serial-partN"."""
    with ExitStack() as stack:
        devices = {
            f"/dev/disk/by-id/virtio-{name}": stack.enter_context(
                loop_device(tmp_path / f"image-{name}", content, "1G")
            )
            for name, content in contents.items()
        }
        yield Worker(listing, devices)


def found(listing: Sequence[Mapping[str, Any]], contents: Mapping[str, Path], tmp: Path) -> GuestOS:
    with worker(listing, contents, tmp) as remote:
        serials = ["tw0", "tw1", "tw2"][: len(listing)]
        return inspect(remote, serials, InspectionHints(macs=["52:54:00:00:00:01"]))


def test_a_debian_on_one_partition(tmp_path: Path) -> None:
    listing = [disk("vdb", part(1, "ext4", uuid="r00t"), part(5, "swap", uuid="5wap"))]
    os = found(listing, {"tw0-part1": system(tmp_path / "root")}, tmp_path)
    assert (os.family, os.id, os.version) == (Family.DEBIAN, "debian", "12")
    assert os.pretty_name == "Debian GNU/Linux 12 (bookworm)"
    assert os.kernels == ("6.1.0-18-amd64", "6.1.0-9-amd64")
    assert [(m.device, m.path) for m in os.mounts] == [("/dev/disk/by-id/virtio-tw0-part1", "/")]
    assert os.macs == ("52:54:00:00:00:01",)
    assert [(f.disk, f.partition, f.fstype) for f in os.filesystems] == [
        (0, 1, "ext4"),
        (0, 5, "swap"),
    ]
    assert os.notes == ()


def test_a_whole_disk_and_a_boot_partition_on_another_disk(tmp_path: Path) -> None:
    fstab = FSTAB + "PARTUUID=aa-01 /boot ext4 defaults 0 2\nUUID=da7a /srv/data ext4 rw 0 2\n"
    root = system(tmp_path / "root", fstab=fstab)
    for kernel in (root / "boot").iterdir():
        kernel.unlink()
    boot = folder(tmp_path / "boot", {"vmlinuz-6.1.0-20-amd64": ""})
    listing = [
        disk("vdb", part(1, "ext4", partuuid="AA-01")),
        disk("vdc", fstype="ext4", uuid="r00t"),
    ]
    contents = {"tw0-part1": boot, "tw1": root}
    os = found(listing, contents, tmp_path)
    assert [(m.device.removeprefix("/dev/disk/by-id/"), m.path) for m in os.mounts] == [
        ("virtio-tw1", "/"),
        ("virtio-tw0-part1", "/boot"),
    ]
    assert os.kernels == ("6.1.0-20-amd64",)


@pytest.mark.parametrize(
    "spec", ["/dev/sdb2", "LABEL=\\040boot", 'UUID="B007"', "/dev/disk/by-label/\\134x20boot"]
)
def test_each_way_to_name_a_file_system(tmp_path: Path, spec: str) -> None:
    root = system(tmp_path / "root", fstab=FSTAB + f"{spec} /boot ext4 defaults 0 2\n")
    boot = folder(tmp_path / "boot", {"vmlinuz-6.1.0-18-amd64": ""})
    listing = [
        disk("vdb", part(1, "ext4", uuid="r00t")),
        disk("vdc", part(2, "ext4", "vdc", uuid="b007", label=" boot")),
    ]
    os = found(listing, {"tw0-part1": root, "tw1-part2": boot}, tmp_path)
    assert os.mounts[1].device == "/dev/disk/by-id/virtio-tw1-part2"
    noted = ("/dev/sdb2 (/boot) is taken to be partition 2 of disk 2",)
    assert os.notes == (noted if spec == "/dev/sdb2" else ())


def test_a_worker_that_installs_what_it_lacks_opens_the_disks(tmp_path: Path) -> None:
    listing = [disk("vdb", part(1, "ext4", uuid="r00t"), part(2, "linux_raid_member"))]
    with worker(listing, {"tw0-part1": system(tmp_path / "root")}, tmp_path) as remote:
        remote.lacks = "program mdadm\nprogram dnf\nprogram zypper\n"
        os = inspect(remote, ["tw0"])
    assert "the worker installed what its image lacks: mdadm" in os.notes


@pytest.mark.parametrize(
    ("fstype", "program", "said"),
    [
        ("LVM2_member", "lvm", "disk 1, which stays closed (the worker image lacks lvm (package"),
        ("linux_raid_member", "mdadm", "the worker image lacks mdadm (package mdadm), which could"),
        ("crypto_LUKS", "cryptsetup", "the worker image lacks cryptsetup (package cryptsetup-bin)"),
        (
            "xfs",
            "xfs_logprint",
            "xfs on partition 1 of disk 1: the worker image lacks xfs_logprint",
        ),
    ],
)
def test_a_worker_that_cannot_read_the_disks_names_its_package(
    tmp_path: Path, fstype: str, program: str, said: str
) -> None:
    listing = [disk("vdb", part(1, fstype))]
    with worker(listing, {}, tmp_path) as remote:
        remote.lacks = f"program {program}\nprogram dnf\nprogram zypper\n"
        remote.installs = (100, "E: no network\n", "")
        with pytest.raises(InspectionError, match="installed: E: no network") as caught:
            inspect(remote, ["tw0"])
    assert said in caught.value.message
    assert "docs/howto/worker-image.md" in caught.value.hint


def test_a_closed_container_beside_the_system_names_the_package(tmp_path: Path) -> None:
    listing = [disk("vdb", part(1, "ext4", uuid="r00t"), part(2, "crypto_LUKS"))]
    with worker(listing, {"tw0-part1": system(tmp_path / "root")}, tmp_path) as remote:
        remote.lacks = "program cryptsetup\nprogram apt-get\nprogram zypper\n"
        remote.installs = (1, "Error: Unable to find a match: cryptsetup\n", "")
        with pytest.raises(InspectionError, match="more is encrypted") as caught:
            inspect(remote, ["tw0"])
    assert "cryptsetup (package cryptsetup), which could not" in caught.value.message
    assert "docs/howto/worker-image.md" in caught.value.hint


def machine(*disks: str, said: bool = True) -> InspectionHints:
    """What is known of a machine with these disks, each "target:bus"."""
    plugged = [each.split(":") for each in disks]
    vm = VirtualMachine(
        id="m", name="m", vcpus=1, memory=1,
        disks=tuple(Disk(id=t, bus=bus, bus_said=said, capacity=1) for t, bus in plugged),
    )  # fmt: skip
    return described(vm, "", GuestKeys())


MIXED = "/dev/vda1 / ext4 rw 0 1\n/dev/sda1 /srv/data ext4 rw 0 2\n/dev/vdb1 /home ext4 rw 0 2\n"


@pytest.mark.parametrize(("said", "names"), [(True, ["/dev/vdb1"]), (False, None)])
def test_names_of_two_buses_mean_two_disks(
    tmp_path: Path, said: bool, names: list[str] | None
) -> None:
    root = system(tmp_path / "root", fstab=MIXED)
    data = folder(tmp_path / "data", {"x": ""})
    listing = [
        disk("vdb", part(1, "ext4", uuid="r00t")),
        disk("vdc", part(1, "ext4", "vdc", uuid="da7a")),
    ]
    with worker(listing, {"tw0-part1": root, "tw1-part1": data}, tmp_path) as remote:
        os = inspect(remote, ["tw0", "tw1"], machine("vda:virtio", "sda:scsi", said=said))
    new = devices.renamed(devices.FSTAB, MIXED, os)
    changed = MIXED.replace("/dev/vda1", "UUID=r00t").replace("/dev/sda1", "UUID=da7a")
    assert new == (changed if said else MIXED)
    assert devices.left(devices.FSTAB, new) == (names or ["/dev/sda1", "/dev/vda1", "/dev/vdb1"])


def test_a_swap_of_a_random_key_is_named_by_its_partition(tmp_path: Path) -> None:
    root = system(tmp_path / "root", fstab="/dev/sda1 / ext4 rw 0 1\n")
    crypttab = "cswap /dev/sda3 /dev/urandom swap\n"
    (root / "etc/crypttab").write_text(crypttab)
    empty = {"name": "/dev/vdb3", "fstype": None, "partuuid": "aa-03"}
    listing = [disk("vdb", part(1, "ext4", uuid="r00t"), empty)]
    with worker(listing, {"tw0-part1": root}, tmp_path) as remote:
        os = inspect(remote, ["tw0"], machine("sda:sata"))
    assert devices.renamed(devices.CRYPTTAB, crypttab, os) == (
        "cswap PARTUUID=aa-03 /dev/urandom swap\n"
    )


BTRFS_UUID = "0b7f5e9c-6a4e-4c8e-9a55-3c1d4f0a2b11"


def btrfs(image: Path, content: Path) -> Path:
    with image.open("wb") as file:
        file.truncate(128 * MiB)
    subprocess.run(["mkfs.btrfs", "-q", "-U", BTRFS_UUID, "-r", content, image], check=True)
    return image


@pytest.mark.parametrize("buses", [(), ("vda:virtio", "vdb:virtio")])
def test_a_copied_btrfs_is_another_file_system(tmp_path: Path, buses: tuple[str, ...]) -> None:
    """As mkfs.btrfs makes it and blkid reads it, on the disk and on the disk's copy."""
    fstab = f"UUID={BTRFS_UUID} / btrfs rw 0 0\n"
    image = btrfs(tmp_path / "one", system(tmp_path / "root", fstab=fstab))
    copy = Path(shutil.copy(image, tmp_path / "two"))
    listing = [
        disk("vdb", part(1, "btrfs", uuid=BTRFS_UUID)),
        disk("vdc", part(1, "btrfs", "vdc", uuid=BTRFS_UUID)),
    ]
    by_id = "/dev/disk/by-id/virtio-tw"
    with attached(image) as one, attached(copy) as two:
        remote = Worker(listing, {f"{by_id}0-part1": one, f"{by_id}1-part1": two})
        with pytest.raises(InspectionError, match="several operating systems") as caught:
            inspect(remote, ["tw0", "tw1"], machine(*buses))
    name = "/dev/vd" if buses else "/dev/sd"
    assert f"(root_device {name}a1[/])" in caught.value.message
    assert f"(root_device {name}b1[/])" in caught.value.message


def test_needed_file_systems_that_are_nowhere_are_named(tmp_path: Path) -> None:
    fstab = FSTAB + "/dev/mapper/vg-var /var ext4 defaults 0 2\n"
    root = system(tmp_path / "root", fstab=fstab)
    listing = [disk("vdb", part(1, "ext4", uuid="r00t"), part(2, "LVM2_member"))]
    with pytest.raises(InspectionError, match="/var is on /dev/mapper/vg-var"):
        found(listing, {"tw0-part1": root}, tmp_path)


def test_what_the_guest_can_do_without_is_a_note(tmp_path: Path) -> None:
    fstab = FSTAB + "/dev/sdx1 /opt ext4 defaults,nofail 0 2\n/dev/sdz1 /home ext4 rw 0 2\n"
    root = system(tmp_path / "root", fstab=fstab)
    os = found([disk("vdb", part(1, "ext4", uuid="r00t"))], {"tw0-part1": root}, tmp_path)
    assert os.notes == ("/opt is on /dev/sdx1, which is on none of the machine's disks; "
                        "it is left out",)  # fmt: skip


def test_two_systems_are_refused_and_both_named(tmp_path: Path) -> None:
    one = system(tmp_path / "one")
    two = system(tmp_path / "two", os_release="PRETTY_NAME=Other\nID=fedora\n")
    listing = [disk("vdb", part(1, "ext4")), disk("vdc", part(3, "ext4", "vdc"))]
    with pytest.raises(InspectionError) as caught:
        found(listing, {"tw0-part1": one, "tw1-part3": two}, tmp_path)
    said = str(caught.value)
    assert "bookworm) on partition 1 of disk 1 (root_device /dev/sda1); Other on partition" in said
    assert "(root_device /dev/sdb3)" in said


def test_a_copy_of_the_root_is_told(tmp_path: Path) -> None:
    one = system(tmp_path / "one", fstab="/dev/sda1 / ext4 rw 0 1\n")
    listing = [disk("vdb", part(1, "ext4", uuid="r00t")), disk("vdc", fstype="ext4", uuid="r00t")]
    os = found(listing, {"tw0-part1": one, "tw1": folder(tmp_path / "two", {"x": ""})}, tmp_path)
    assert os.notes == (
        "the file system of / on partition 1 of disk 1 has the UUID of another one on disk 2: the "
        "guest may start from either; give the copy a UUID of its own",
    )


def test_a_copy_without_fstab_does_not_confuse(tmp_path: Path) -> None:
    one = system(tmp_path / "one")
    two = folder(tmp_path / "two", {"etc/os-release": BOOKWORM})
    listing = [disk("vdb", part(1, "ext4")), disk("vdc", part(1, "ext4", "vdc"))]
    os = found(listing, {"tw0-part1": one, "tw1-part1": two}, tmp_path)
    assert os.mounts[0].device == "/dev/disk/by-id/virtio-tw0-part1"


@pytest.mark.parametrize(
    ("fstype", "words", "hint"),
    [
        (
            "LVM2_member",
            "an LVM physical volume on partition 1 of disk 1, which stays closed "
            r"\(there is no LVM\)",
            "skip_os_morphing",
        ),
        (
            "linux_raid_member",
            r"its array cannot be started: mdadm: not enough",
            "skip_os_morphing",
        ),
        ("crypto_LUKS", "no passphrase was given for it", "guest_secrets"),
        ("zfs_member", "a ZFS pool on partition 1 of disk 1", "skip_os_morphing"),
        ("ntfs", "this looks like Windows", "skip_os_morphing"),
        ("BitLocker", "this looks like Windows", "skip_os_morphing"),
    ],
)
def test_what_cannot_be_opened_is_named(tmp_path: Path, fstype: str, words: str, hint: str) -> None:
    with pytest.raises(InspectionError, match=words) as caught:
        found([disk("vdb", part(1, fstype, uuid="u"))], {}, tmp_path)
    assert hint in caught.value.hint


def test_empty_disks_are_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(InspectionError, match="found no file system at all"):
        found([disk("vdb")], {}, tmp_path)


def test_a_file_system_that_cannot_be_mounted_is_said(tmp_path: Path) -> None:
    with pytest.raises(InspectionError, match=r"xfs on partition 1 of disk 1, which cannot"):
        found([disk("vdb", part(1, "xfs"))], {"tw0-part1": system(tmp_path / "root")}, tmp_path)


def test_a_hibernated_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InspectionError, match="hibernated: partition 5 of disk 1"):
        found([disk("vdb", part(1, "ext4"), part(5, "swsuspend"))], {}, tmp_path)


@pytest.mark.parametrize(
    ("os_release", "family"),
    [
        ("ID=ubuntu\nID_LIKE=debian\n", Family.DEBIAN),
        ("ID=mine\nID_LIKE='debian gnu'\n", Family.DEBIAN),
        ("ID=rocky\nID_LIKE='rhel centos fedora'\n", Family.RED_HAT),
        ("ID='opensuse-leap'\nID_LIKE='suse opensuse'\n", Family.SUSE),
        ('ID="openEuler"\n', Family.RED_HAT),
        ("ID=Mine\nID_LIKE='RHEL Fedora'\n", Family.RED_HAT),
        ('ID=alpine\nNAME="unbalanced\n', Family.UNKNOWN),
    ],
)
def test_the_family_is_found(tmp_path: Path, os_release: str, family: Family) -> None:
    root = system(tmp_path / "root", os_release=os_release)
    listing = [disk("vdb", part(1, "ext4"))]
    assert found(listing, {"tw0-part1": root}, tmp_path).family is family


@pytest.mark.parametrize("target", ["{out}", "../../../../../../../../../../../..{out}"])
def test_no_link_leads_out(tmp_path: Path, target: str) -> None:
    """A guest whose folders point into the worker: nothing of the worker is read."""
    out = folder(
        tmp_path / "out", {"os-release": "ID=worker\n", "fstab": "secret", "vmlinuz-1": ""}
    )
    root = folder(tmp_path / "root", {"x": ""})
    (root / "etc").symlink_to(target.format(out=out))
    (root / "usr").mkdir()
    (root / "usr/lib").symlink_to(target.format(out=out))
    with pytest.raises(InspectionError, match="no operating system"):
        found([disk("vdb", part(1, "ext4"))], {"tw0-part1": root}, tmp_path)
    (tmp_path / "root2").mkdir()
    root = folder(tmp_path / "root2/root", {"etc/x": ""})
    (root / "etc/os-release").symlink_to(target.format(out=out) + "/os-release")
    with pytest.raises(InspectionError, match="no operating system"):
        found([disk("vdb", part(1, "ext4"))], {"tw0-part1": root}, tmp_path)
