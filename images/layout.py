# SPDX-License-Identifier: Apache-2.0
"""How the disks of a guest are laid out, when it is more than one partition on an MBR.

A recipe says so in a file of its own, `layout.toml` beside `recipe.toml`. What is stacked on what
is told by names: a partition, an array, an encrypted device and a logical volume ("group/volume")
can each carry the next one.

    disks -> partitions -> arrays -> encrypted -> volume_groups -> filesystems -> subvolumes
"""

import tomllib
import uuid
from collections.abc import Iterator
from typing import Final, Literal

from pydantic import Field

from images.recipe import Recipe, SampleFiles
from tradewind.errors import NotFoundError
from tradewind.model.record import Record

FILE: Final = "layout.toml"
BUILDER: Final = ("layout.py", "rpm.py", "stacking.py", "stacked.py", "standin.py")
"""The modules that shape such an image, besides those of `recipe.BUILDER`."""

_NAMESPACE: Final = uuid.UUID("5a1c64a5-6f0a-4a55-8a0f-6b9c7f5a9e02")


class GptDisk(Record):
    """A disk with a GPT."""

    name: str
    size_gib: int


class Partition(Record):
    """A partition; they follow each other on their disk. Without a size: all that is left."""

    name: str
    disk: str
    size_mib: int = 0
    kind: Literal["esp", "bios-boot", "linux", "lvm", "raid", "swap"] = "linux"


class Array(Record):
    """A RAID 1 of the kernel's md driver."""

    name: str
    on: tuple[str, ...]


class Encrypted(Record):
    """A LUKS2 device. `key_file` is a second way in, made in the guest's tree at that path."""

    name: str
    on: str
    passphrase: str
    key_file: str = ""


class VolumeGroup(Record):
    """A group of LVM: its volumes with their sizes in MiB."""

    name: str
    on: tuple[str, ...]
    volumes: dict[str, int]


class FileSystemRecipe(Record):
    """What is on a device, and where it is mounted; `known_as` is how fstab calls the device.

    A btrfs has `subvolumes`, each made in this order and mounted where it says, if anywhere;
    `snapshots` are made read-only when the system is complete: name of the copy, of the original.
    """

    on: str
    kind: Literal["vfat", "ext4", "xfs", "btrfs", "swap"]
    mount: str = ""
    label: str = ""
    options: str = "defaults"
    known_as: str = Field(default="", description="instead of UUID=")
    subvolumes: dict[str, str] = Field(default={})
    default_subvolume: str = ""
    snapshots: dict[str, str] = Field(default={})


class Layout(Record):
    """The whole stack of one recipe."""

    firmware: Literal["bios", "uefi"]
    disks: tuple[GptDisk, ...]
    partitions: tuple[Partition, ...]
    arrays: tuple[Array, ...] = ()
    encrypted: tuple[Encrypted, ...] = ()
    volume_groups: tuple[VolumeGroup, ...] = ()
    filesystems: tuple[FileSystemRecipe, ...]
    samples: SampleFiles

    def device(self, name: str) -> str:
        """Name a device as the machine sees it that builds. NotFoundError for an unknown name."""
        known = dict(self._devices())
        if name not in known:
            raise NotFoundError(f"layout: nothing is called {name}", f"one of: {', '.join(known)}")
        return known[name]

    def _devices(self) -> Iterator[tuple[str, str]]:
        for disk in self.disks:
            mine = [part for part in self.partitions if part.disk == disk.name]
            for number, part in enumerate(mine, start=1):
                yield part.name, f"{disk_device(disk.name)}-part{number}"
        for array in self.arrays:
            yield array.name, f"/dev/md/{array.name}"
        for crypt in self.encrypted:
            yield crypt.name, f"/dev/mapper/{crypt.name}"
        for group in self.volume_groups:
            for volume in group.volumes:
                yield f"{group.name}/{volume}", f"/dev/{group.name}/{volume}"


def disk_device(name: str) -> str:
    """Name a whole disk as the machine sees it that builds: by its serial."""
    return f"/dev/disk/by-id/virtio-{name}"


def load(recipe: Recipe) -> Layout | None:
    """Read the layout of a recipe; None when it has none and its disks are plain."""
    path = recipe.folder / FILE
    if not path.exists():
        return None
    return Layout.model_validate(tomllib.loads(path.read_text()))


def identity(recipe: Recipe, name: str) -> uuid.UUID:
    """Name a device of a recipe the same way in every build."""
    return uuid.uuid5(_NAMESPACE, f"{recipe.name}/{name}")


def spec(recipe: Recipe, filesystem: FileSystemRecipe) -> str:
    """Say how the guest calls a file system: as its layout wants it, else by UUID."""
    if filesystem.known_as:
        return filesystem.known_as
    name = str(identity(recipe, filesystem.on))
    if filesystem.kind == "vfat":
        name = f"{name[:4]}-{name[4:8]}".upper()
    return f"UUID={name}"


def fstab(recipe: Recipe, layout: Layout) -> str:
    """List what is mounted, parents before what is mounted into them: the format of fstab."""
    lines = (line for each in layout.filesystems for line in _fstab_lines(recipe, each))
    return "".join(f"{line}\n" for line in sorted(lines, key=lambda line: line.split()[1]))


def _fstab_lines(recipe: Recipe, filesystem: FileSystemRecipe) -> Iterator[str]:
    device = spec(recipe, filesystem)
    if filesystem.kind == "swap":
        yield f"{device} none swap sw 0 0"
    if filesystem.mount:
        check = {"ext4": 1 if filesystem.mount == "/" else 2}.get(filesystem.kind, 0)
        yield f"{device} {filesystem.mount} {filesystem.kind} {filesystem.options} 0 {check}"
    for name, mount in filesystem.subvolumes.items():
        # What is mounted as the default needs no subvol=, as on the distribution that does so.
        asked = "" if name == filesystem.default_subvolume else f"subvol={name}"
        options = ",".join(filter(None, (asked, filesystem.options)))
        if mount:
            yield f"{device} {mount} btrfs {options} 0 0"


def crypttab(recipe: Recipe, layout: Layout) -> str:
    """List the encrypted devices of the guest: the format of crypttab, with Debian's initramfs."""
    return "".join(
        f"{crypt.name} UUID={container_uuid(recipe, crypt)} {crypt.key_file or 'none'}"
        " luks,initramfs\n"
        for crypt in layout.encrypted
    )


def mdadm_conf(recipe: Recipe, layout: Layout) -> str:
    """List the arrays of the guest: the format of mdadm.conf."""
    lines = (
        f"ARRAY /dev/md/{array.name} UUID={array_uuid(recipe, array)}" for array in layout.arrays
    )
    # Without an address to write to, Debian's mdmonitor.service refuses to start.
    return "\n".join(("HOMEHOST <ignore>", "MAILADDR root", *lines, ""))


def container_uuid(recipe: Recipe, crypt: Encrypted) -> uuid.UUID:
    """Name a LUKS container, and not as the file system in it: one would be taken for the other."""
    return identity(recipe, f"{crypt.name}/container")


def array_uuid(recipe: Recipe, array: Array) -> str:
    """Write the identity of an array as mdadm does: four groups of eight digits."""
    digits = identity(recipe, array.name).hex
    return ":".join(digits[start : start + 8] for start in range(0, 32, 8))
