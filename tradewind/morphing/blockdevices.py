# SPDX-License-Identifier: Apache-2.0
"""What is on the disks, in the words of lsblk(8), and what the guest calls it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from tradewind.errors import InspectionError
from tradewind.model.guest import FileSystem

# What stacks below a file system and is not opened yet, as libblkid calls it.
STACKED: Final = {
    "LVM2_member": "an LVM physical volume",
    "linux_raid_member": "a member of a software RAID (md)",
    "crypto_LUKS": "a LUKS container",
    "zfs_member": "a ZFS pool",
    "bcache": "a bcache device",
    "BitLocker": "a BitLocker volume",
}
# The signature of a swap space that holds the memory of a hibernated system.
HIBERNATED: Final = {"swsuspend", "swsupend"}
# Formats from which a Linux system can be read.
READABLE: Final = {"ext2", "ext3", "ext4", "xfs", "btrfs", "vfat"}

COLUMNS: Final = "NAME,FSTYPE,UUID,LABEL,PARTUUID,PARTLABEL"

# sda1, hdb, vdc2, xvda1; nvme0n1p2, mmcblk0p1
_KERNEL_NAME: Final = re.compile(
    r"/dev/(?:(?:sd|hd|vd|xvd)(?P<letters>[a-z]{1,2})(?P<part>\d*)"
    r"|(?:nvme|mmcblk)(?P<index>\d+)(?:n1)?(?:p(?P<nvme_part>\d+))?)"
)


class _Node(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str
    fstype: str | None = None
    uuid: str | None = None
    label: str | None = None
    partuuid: str | None = None
    partlabel: str | None = None
    children: tuple["_Node", ...] = ()


class _Listing(BaseModel):
    blockdevices: tuple[_Node, ...]


def file_systems(listing: str, disks: Mapping[str, str]) -> tuple[FileSystem, ...]:
    """Read the output of `lsblk -J -p -o COLUMNS`.

    `disks` maps kernel names to the stable ones under /dev/disk/by-id, in the machine's order.
    """
    nodes = {node.name: node for node in _Listing.model_validate(json.loads(listing)).blockdevices}
    found: list[FileSystem] = []
    for number, (kernel_name, stable) in enumerate(disks.items()):
        found.extend(_on_disk(nodes[kernel_name], number, stable))
    return tuple(found)


def _on_disk(disk: _Node, number: int, stable: str) -> Iterator[FileSystem]:
    if disk.fstype and not disk.children:
        yield _file_system(disk, number, 0, stable)
    for child in disk.children:
        digits = re.search(r"\d+$", child.name.removeprefix(disk.name))
        if child.fstype and digits:
            partition = int(digits[0])
            yield _file_system(child, number, partition, f"{stable}-part{partition}")


def _file_system(node: _Node, disk: int, partition: int, device: str) -> FileSystem:
    return FileSystem(
        device=device,
        disk=disk,
        partition=partition,
        fstype=node.fstype or "",
        uuid=node.uuid or "",
        label=node.label or "",
        partuuid=node.partuuid or "",
        partlabel=node.partlabel or "",
    )


def place(filesystem: FileSystem) -> str:
    """Say where a file system lies: "partition 1 of disk 2"."""
    disk = f"disk {filesystem.disk + 1}"
    return f"partition {filesystem.partition} of {disk}" if filesystem.partition else disk


def kernel_position(device: str) -> tuple[int, int] | None:
    """Read a kernel's own device name: "/dev/sdb1" is (1, 1), disk from 0 and partition.

    None for any other name.
    """
    match = _KERNEL_NAME.fullmatch(device)
    if match is None:
        return None
    if match["index"] is not None:
        return int(match["index"]), int(match["nvme_part"] or 0)
    disk = 0
    for letter in match["letters"]:
        disk = disk * 26 + ord(letter) - ord("a") + 1
    return disk - 1, int(match["part"] or 0)


def find(spec: str, filesystems: Sequence[FileSystem]) -> FileSystem | None:
    """Find what a guest's fstab(5) or boot loader calls `spec`; None when no disk has it."""
    position = kernel_position(spec)
    if position is not None:
        matching = [f for f in filesystems if (f.disk, f.partition) == position]
        return matching[0] if matching else None
    tag, value = _tag(spec)
    values = {
        "UUID": lambda f: f.uuid,
        "LABEL": lambda f: f.label,
        "PARTUUID": lambda f: f.partuuid,
        "PARTLABEL": lambda f: f.partlabel,
    }
    wanted = values.get(tag)
    if wanted is None or not value:
        return None
    same_case = tag in {"LABEL", "PARTLABEL"}
    for candidate in filesystems:
        have = wanted(candidate)
        if have == value or (not same_case and have.lower() == value.lower()):
            return candidate
    return None


def _tag(spec: str) -> tuple[str, str]:
    if spec.startswith("/dev/disk/by-"):
        kind, _, value = spec.removeprefix("/dev/disk/by-").partition("/")
        # udev writes what a file name cannot hold as \xNN.
        unescaped = re.sub(r"\\x([0-9a-fA-F]{2})", lambda m: chr(int(m[1], 16)), value)
        return kind.upper(), unescaped
    tag, _, value = spec.partition("=")
    return tag, value.strip('"')


def refuse_hibernated(filesystems: Sequence[FileSystem]) -> None:
    """Refuse a machine that sleeps: it would resume with a memory of disks that changed since."""
    for filesystem in filesystems:
        if filesystem.fstype in HIBERNATED:
            raise InspectionError(
                f"the machine is hibernated: {place(filesystem)} holds its memory",
                "start it on its source, shut it down properly, and transfer it again",
            )


def stacked(filesystems: Sequence[FileSystem]) -> tuple[str, ...]:
    """Name what would have to be opened first, and where it lies."""
    return tuple(
        f"{STACKED[filesystem.fstype]} on {place(filesystem)}"
        for filesystem in filesystems
        if filesystem.fstype in STACKED
    )
