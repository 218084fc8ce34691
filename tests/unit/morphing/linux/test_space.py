# SPDX-License-Identifier: Apache-2.0
"""A guest that is too full is refused with every shortage, each with its reason."""

import pytest

from tradewind.errors import InspectionError
from tradewind.model.guest import Family, FileSystem, GuestOS, Mount
from tradewind.model.machine import FirmwareKind
from tradewind.morphing.linux.facts import FileSystemFacts
from tradewind.morphing.linux.space import require
from tradewind.units import GiB, MiB

IMAGES = {"initrd.img-6.1.0-18-amd64": 40 * MiB, "initrd.img-5.10.0-1-amd64": 30 * MiB}
BLOCK = 4096


def tree(device: str, free: int, inodes: str = "90000 100000") -> FileSystemFacts:
    """Give a file system with so many free bytes, and `inodes` free and in all."""
    filesystem = FileSystem(device=device, disk=0, partition=1, fstype="ext4")
    return FileSystemFacts(filesystem, facts={"space": f"{BLOCK} {free // BLOCK} {inodes}"})


def guest(*paths: str, kernels: tuple[str, ...] = ("6.1.0-18-amd64", "5.10.0-1-amd64")) -> GuestOS:
    """Give a guest with a file system for each path, on /dev/0, /dev/1 and so on."""
    return GuestOS(
        family=Family.DEBIAN,
        id="debian",
        version="12",
        pretty_name="Debian",
        mounts=tuple(
            Mount(device=f"/dev/{number}", path=path, fstype="ext4")
            for number, path in enumerate(paths)
        ),
        kernels=kernels,
    )


def refusal(os: GuestOS, *trees: FileSystemFacts) -> str:
    with pytest.raises(InspectionError) as caught:
        require(os, trees, IMAGES)
    assert caught.value.hint
    return str(caught.value)


def test_a_guest_with_room_is_taken() -> None:
    require(guest("/", "/boot"), [tree("/dev/0", 2 * GiB), tree("/dev/1", GiB)], IMAGES)


def test_both_shortages_are_said_at_once() -> None:
    said = refusal(guest("/", "/boot"), tree("/dev/0", MiB), tree("/dev/1", MiB))
    assert "/ has 1.0 MiB free" in said
    assert "/boot has 1.0 MiB free and needs" in said
    assert "a new initramfs for 2 kernels beside a copy of the old one" in said


def test_an_initramfs_needs_what_the_old_one_has_and_a_copy_of_the_largest() -> None:
    exactly = (40 + 30 + 2 * 8 + 40) * MiB
    require(guest("/", "/boot"), [tree("/dev/0", 2 * GiB), tree("/dev/1", exactly)], IMAGES)
    said = refusal(guest("/", "/boot"), tree("/dev/0", 2 * GiB), tree("/dev/1", exactly - BLOCK))
    assert "/boot" in said
    assert "/ has" not in said


def test_without_kernels_no_initramfs_is_counted() -> None:
    os = guest("/", "/boot", kernels=())
    require(os, [tree("/dev/0", 2 * GiB), tree("/dev/1", 0)], IMAGES)


def test_only_a_machine_with_uefi_needs_room_for_its_boot_loader() -> None:
    trees = [tree("/dev/0", 2 * GiB), tree("/dev/1", MiB)]
    os = guest("/", "/boot/efi", kernels=())
    require(os, trees, IMAGES)
    said = refusal(os.model_copy(update={"firmware": FirmwareKind.UEFI}), *trees)
    assert "6.0 MiB for the boot loader's fallback copy" in said


def test_a_need_counts_where_its_folder_lies() -> None:
    trees = [tree("/dev/0", 2 * GiB), tree("/dev/1", 50 * MiB)]
    said = refusal(guest("/", "/var"), *trees)
    assert "/var has 50.0 MiB free" in said
    assert "package lists and downloaded packages" in said
    # The folder whose name begins alike lies elsewhere.
    require(guest("/", "/vary"), trees, IMAGES)


def test_inodes_run_out_too() -> None:
    said = refusal(guest("/"), tree("/dev/0", 2 * GiB, "3999 100000"))
    assert "/ has 3999 free inodes and needs" in said
    assert "4000 for cloud-init and the guest agent" in said


def test_a_file_system_that_makes_inodes_as_needed_has_no_limit() -> None:
    require(guest("/"), [tree("/dev/0", 2 * GiB, "0 0")], IMAGES)


@pytest.mark.parametrize("space", ["", "4096", "4096 x 1 2", "4096 -1 1 2", "1 2 3 4 5"])
def test_what_cannot_be_read_refuses_nothing(space: str) -> None:
    unread = FileSystemFacts(tree("/dev/0", 0).filesystem, facts={"space": space})
    require(guest("/"), [unread], IMAGES)
