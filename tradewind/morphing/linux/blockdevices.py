# SPDX-License-Identifier: Apache-2.0
"""What is on the disks, in the words of lsblk(8): partitions, what stacks on them, file systems."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel, ConfigDict

from tradewind.model.guest import FileSystem, GuestDisk, Layer, LayerKind, PartitionTable
from tradewind.plain_text import printable

# What holds a layer or a part of one, as libblkid calls it.
STACKED: Final = {
    "LVM2_member": "an LVM physical volume",
    "linux_raid_member": "a member of a software RAID (md)",
    "crypto_LUKS": "a LUKS container",
    "zfs_member": "a ZFS pool",
    "bcache": "a bcache device",
    "BitLocker": "a BitLocker volume (Windows)",
    "isw_raid_member": "a member of a firmware RAID (Intel)",
    "ddf_raid_member": "a member of a firmware RAID (DDF)",
}
# Formats from which a Linux system can be read.
READABLE: Final = {"ext2", "ext3", "ext4", "xfs", "btrfs", "vfat"}

COLUMNS: Final = "NAME,KNAME,TYPE,FSTYPE,UUID,LABEL,PARTUUID,PARTLABEL,PTTYPE,PARTTYPE"

# As the UEFI specification and GRUB name them; an MBR has one byte for the type.
_ESP: Final = {"c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0xef"}
_BIOS_BOOT: Final = "21686148-6449-6e6f-744e-656564454649"


class _Node(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str
    kname: str = ""
    type: str = ""
    fstype: str | None = None
    uuid: str | None = None
    label: str | None = None
    partuuid: str | None = None
    partlabel: str | None = None
    pttype: str | None = None
    parttype: str | None = None
    children: tuple["_Node", ...] = ()

    @property
    def kernel_name(self) -> str:
        return self.kname or self.name


class _Listing(BaseModel):
    blockdevices: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class DiskContents:
    """What the disks hold: file systems, and in `members` what other layers are made of.

    All in the order of the disks. `opened` are the devices of members on which something stands,
    `partitions` all that the disks have, whatever is in them.
    """

    disks: tuple[GuestDisk, ...]
    filesystems: tuple[FileSystem, ...]
    members: tuple[FileSystem, ...]
    opened: frozenset[str]
    esp: str
    partitions: tuple[FileSystem, ...] = ()

    def closed(self, fstype: str) -> list[FileSystem]:
        """Members of a kind on which nothing stands yet."""
        return [m for m in self.members if m.fstype == fstype and m.device not in self.opened]


@dataclass(slots=True)
class _DeviceWalk:
    """Collects; a device that stands on several others (an array) is met more than once."""

    layers: Mapping[str, Layer]
    filesystems: dict[str, FileSystem]
    members: dict[str, FileSystem]
    opened: set[str]
    esp: str = ""
    partitions: list[FileSystem] = field(default_factory=list)

    def visit(self, node: _Node, place: FileSystem) -> None:
        layer = self.layers.get(node.kernel_name)
        layers = (layer, *place.layers) if layer else place.layers
        here = _described(node, place.model_copy(update={"layers": layers}))
        if here.partition and here.device.endswith(f"-part{here.partition}"):
            self.partitions.append(here)
        parts = [child for child in node.children if child.type in {"", "part"}]
        if node.fstype in STACKED:
            self._note_member(node, here)
        elif node.fstype and not parts:
            self.filesystems.setdefault(here.device, here)
        if (node.parttype or "").lower() in _ESP:
            self.esp = self.esp or here.device
        for child in node.children:
            self.visit(child, _child_place(child, node, here))

    def _note_member(self, node: _Node, here: FileSystem) -> None:
        known = self.members.setdefault(here.device, here)
        if node.children:
            self.opened.add(known.device)


def contents(listing: str, disks: Mapping[str, str], layers: Mapping[str, Layer]) -> DiskContents:
    """Read the output of `lsblk -J -p -o COLUMNS`.

    `disks` maps kernel names to the stable ones under /dev/disk/by-id, in the machine's order;
    `layers` tells by kernel name what was opened.
    """
    nodes = {node.name: node for node in _Listing.model_validate(json.loads(listing)).blockdevices}
    walk = _DeviceWalk(layers, {}, {}, set())
    for number, (kernel_name, stable) in enumerate(disks.items()):
        place = FileSystem(device=stable, disk=number, partition=0, fstype="")
        walk.visit(nodes[kernel_name], place)
    return DiskContents(
        disks=tuple(_disk(nodes[kernel_name], stable) for kernel_name, stable in disks.items()),
        filesystems=tuple(walk.filesystems.values()),
        members=tuple(walk.members.values()),
        opened=frozenset(walk.opened),
        esp=walk.esp,
        partitions=tuple(walk.partitions),
    )


def _disk(node: _Node, stable: str) -> GuestDisk:
    try:
        table = PartitionTable(node.pttype or "")
    except ValueError:
        table = PartitionTable.NONE
    bios_boot = [c for c in node.children if (c.parttype or "").lower() == _BIOS_BOOT]
    number = _number(bios_boot[0], node) if bios_boot else 0
    return GuestDisk(device=stable, table=table, bios_boot=number)


def _number(child: _Node, parent: _Node) -> int:
    digits = re.search(r"\d+$", child.kernel_name.removeprefix(parent.kernel_name))
    return int(digits[0]) if digits else 0


def _child_place(child: _Node, parent: _Node, here: FileSystem) -> FileSystem:
    """Name a partition of a disk by the disk's stable name, all else by the kernel's."""
    number = _number(child, parent)
    if child.type in {"", "part"} and not here.layers and not here.partition and number:
        return here.model_copy(
            update={"device": f"{here.device}-part{number}", "partition": number}
        )
    return here.model_copy(update={"device": child.kernel_name})


def _described(node: _Node, place: FileSystem) -> FileSystem:
    return place.model_copy(
        update={
            "fstype": node.fstype or "",
            "uuid": node.uuid or "",
            "label": node.label or "",
            "partuuid": node.partuuid or "",
            "partlabel": node.partlabel or "",
        }
    )


def place(filesystem: FileSystem) -> str:
    """Return where a file system lies: "partition 1 of disk 2", "logical volume vg/root"."""
    if filesystem.layers:
        return layer_name(filesystem.layers[0])
    disk = f"disk {filesystem.disk + 1}"
    return f"partition {filesystem.partition} of {disk}" if filesystem.partition else disk


def layer_name(layer: Layer) -> str:
    """Name a layer for a person."""
    known = layer.name or layer.uuid
    return (
        f"{layer.kind} {printable(known)}"
        if layer.kind is not LayerKind.MD
        else (f"array {printable(known)}")
    )


def stacked(members: Sequence[FileSystem]) -> Iterator[str]:
    """Name what stacks are made of, and where it lies."""
    for member in members:
        yield f"{STACKED[member.fstype]} on {place(member)}"
