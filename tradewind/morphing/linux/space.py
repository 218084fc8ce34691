# SPDX-License-Identifier: Apache-2.0
"""Whether the guest's file systems have room for what the steps write, each with its reason."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.errors import InspectionError
from tradewind.model.guest import GuestOS, Mount
from tradewind.model.machine import FirmwareKind
from tradewind.morphing.linux.facts import FileSystemFacts
from tradewind.units import MiB, human_size


@dataclass(frozen=True, slots=True)
class RequiredSpace:
    """Room in a folder: bytes and inodes, and what for."""

    path: str
    size: int
    inodes: int
    reason: str


# On Debian 12, cloud-init, the guest agent and what they depend on are 177 MiB in 9,000 files and
# folders; without what every guest has of it (libc, Perl, the C++ and TLS libraries) 57 MiB in
# 3,700. 42 MiB have to be downloaded at most; Debian's package lists take another 20 to 50 MiB.
FIXED: Final = (
    RequiredSpace("/etc", 4 * MiB, 100, "configuration, and copies of what it was"),
    RequiredSpace("/usr", 64 * MiB, 4000, "cloud-init and the guest agent"),
    RequiredSpace("/var", 100 * MiB, 200, "package lists and downloaded packages"),
)
_FALLBACK: Final = RequiredSpace("/boot/efi", 6 * MiB, 10, "the boot loader's fallback copy")
# The size taken for an initramfs where the guest has none to compare with.
_IMAGE: Final = 48 * MiB
# What new drivers may add to an image.
_GROWTH: Final = 8 * MiB
# How much more room than an image its unpacked contents are taken to need.
_UNPACKED: Final = 4
_UNPACKING: Final = "/var/tmp"  # noqa: S108 - the guest's, where dracut and mkinitramfs work


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """What is free on one file system; `inodes` is None where they are made as needed."""

    size: int
    inodes: int | None


def require(os: GuestOS, trees: Sequence[FileSystemFacts], images: Mapping[str, int]) -> None:
    """Refuse a guest that is too full; InspectionError has all shortages.

    `images` are the sizes of the initramfs files in /boot, by name.
    """
    needs: dict[str, list[RequiredSpace]] = {}
    for need in (*FIXED, *_fallback(os), *_initramfs(os, images)):
        needs.setdefault(_mount(os, need.path).path, []).append(need)
    rooms = {tree.filesystem.device: room for tree in trees if (room := _room(tree))}
    short = [
        shortage
        for mount in os.mounts
        if mount.path in needs and mount.device in rooms
        for shortage in _shortages(mount, rooms[mount.device], needs[mount.path])
    ]
    if short:
        raise InspectionError(
            "the guest's file systems are too full: " + "; ".join(short),
            "make room on the source, and transfer again",
        )


def _fallback(os: GuestOS) -> Sequence[RequiredSpace]:
    return [_FALLBACK] if os.firmware is FirmwareKind.UEFI else []


def _initramfs(os: GuestOS, images: Mapping[str, int]) -> Iterator[RequiredSpace]:
    if not os.kernels:
        return
    sizes = [_size(kernel, images) for kernel in os.kernels]
    kernels = "1 kernel" if len(sizes) == 1 else f"{len(sizes)} kernels"
    yield RequiredSpace(
        "/boot",
        sum(sizes) + len(sizes) * _GROWTH + max(sizes),
        2 * len(sizes) + 2,
        f"a new initramfs for {kernels} beside a copy of the old one",
    )
    yield RequiredSpace(
        _UNPACKING, _UNPACKED * max(sizes), 3000, "what goes into an initramfs, unpacked"
    )


def _size(kernel: str, images: Mapping[str, int]) -> int:
    pattern = re.compile(rf"init[a-z.]*-{re.escape(kernel)}(\.img)?")
    return max((size for name, size in images.items() if pattern.fullmatch(name)), default=_IMAGE)


def _mount(os: GuestOS, path: str) -> Mount:
    below = [m for m in os.mounts if f"{path}/".startswith(m.path.rstrip("/") + "/")]
    return max(below, key=lambda mount: len(mount.path))


def _room(tree: FileSystemFacts) -> FreeSpace | None:
    """Read block size, free blocks, inodes and free inodes, as stat(1) prints them."""
    numbers = tree.facts.get("space", "").split()
    if len(numbers) != 4 or not all(number.isdecimal() for number in numbers):
        return None
    block, free, free_inodes, inodes = map(int, numbers)
    return FreeSpace(block * free, free_inodes if inodes else None)


def _shortages(mount: Mount, room: FreeSpace, needs: Sequence[RequiredSpace]) -> Iterator[str]:
    size, inodes = sum(n.size for n in needs), sum(n.inodes for n in needs)
    if room.size < size:
        why = ", ".join(f"{human_size(n.size)} for {n.reason}" for n in needs)
        yield f"{mount.path} has {human_size(room.size)} free and needs {human_size(size)}: {why}"
    if room.inodes is not None and room.inodes < inodes:
        why = ", ".join(f"{n.inodes} for {n.reason}" for n in needs)
        yield f"{mount.path} has {room.inodes} free inodes and needs {inodes}: {why}"
