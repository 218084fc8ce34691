# SPDX-License-Identifier: Apache-2.0
"""Which of a machine's disks a kernel's own name means: "/dev/sdb1", "/dev/nvme0n1p2".

A kernel counts the disks of each driver for itself, so that a name counts only among the disks
whose bus leads to that driver (the kernel's Documentation/admin-guide/devices.txt). In libvirt's
words the target name is "a device ordering hint" (formatdomain.html, hard drives): it orders the
disks of one bus. Disks of two buses that share a driver's names, SATA and SCSI for example, are
found in an order that changes from start to start: each of them may have each of the names.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

# sda1, hdb, vdc2, xvda1; nvme0n1p2, mmcblk0p1; what Compaq's and Mylex's controllers hand out.
_LETTERED: Final = r"(?:sd|hd|vd|xvd)[a-z]{1,2}"
_NUMBERED: Final = r"nvme\d{1,3}n\d{1,3}|mmcblk\d{1,3}|(?:cciss|ida|rd)/c\d{1,2}d\d{1,2}"
NAME: Final = rf"/dev/(?:{_LETTERED}\d{{0,3}}|(?:{_NUMBERED})(?:p\d{{1,3}})?)"
_DISK: Final = re.compile(
    rf"(?P<disk>/dev/(?:{_LETTERED}|{_NUMBERED}))"
    r"(?:(?:(?<=[a-z])|(?<=\d)p)(?P<part>\d{1,3}))?"
)
_FAMILY: Final = re.compile(r"/dev/(sd|hd|vd|xvd|nvme|mmcblk|cciss|ida|rd)")
_TARGET: Final = re.compile(r"(?:sd|hd|vd|xvd)([a-z]{1,2})")
_USED: Final = re.compile(rf"(?<![\w/]){NAME}(?![\w/])")
_MEDIA: Final = re.compile(r"^\s*#|\b(?:iso9660|udf)\b")

# The buses, in libvirt's words, whose disks have a family's names. No bus of libvirt leads to the
# drivers of old RAID controllers: only who says no bus can mean one. libata names IDE disks sd.
_BUSES: Final[Mapping[str, frozenset[str]]] = {
    "sd": frozenset({"scsi", "sata", "ide", "usb"}),
    "hd": frozenset({"ide"}),
    "vd": frozenset({"virtio"}),
    "xvd": frozenset({"xen"}),
    "nvme": frozenset({"nvme"}),
    "mmcblk": frozenset({"sd"}),
    "cciss": frozenset(),
    "ida": frozenset(),
    "rd": frozenset(),
}
# A disk on virtio-scsi has a path that begins as one of virtio-blk does.
_HARDWARE: Final = (
    (re.compile(r"/by-id/(?:ata|scsi|usb|wwn|sas|ieee1394)-|/mapper/mpath"), "sd"),
    (re.compile(r"/by-path/.*-(?:ata|scsi|usb|usbv2|sas)-"), "sd"),
    (re.compile(r"/by-(?:id/|path/.*-)nvme-"), "nvme"),
    (re.compile(r"/by-id/mmc-|/by-path/.*-mmc-"), "mmcblk"),
    (re.compile(r"/by-id/virtio-|/by-path/virtio-pci-[^-]*(?:-part\d+)?$"), "vd"),
)
_OTHER_WORDS: Final = {"virtio-blk": "virtio", "virtio-scsi": "scsi", "ahci": "sata"}


@dataclass(frozen=True, slots=True)
class SourceDisk:
    """How a disk is plugged in at the source: `target` orders it, `bus` is "" when none is said."""

    target: str = ""
    bus: str = ""

    @property
    def known_bus(self) -> str:
        """The bus in libvirt's word; "" for one that leads to no names we know."""
        word = _OTHER_WORDS.get(self.bus.lower(), self.bus.lower())
        return word if any(word in buses for buses in _BUSES.values()) else ""


def split(device: str) -> tuple[str, int] | None:
    """Split "/dev/sdb1" into disk and partition, 0 for a whole disk; None for other names."""
    match = _DISK.fullmatch(device)
    return (match["disk"], int(match["part"] or 0)) if match else None


def joined(disk: str, partition: int) -> str:
    """Name a partition of the disk `disk`; the disk itself for partition 0."""
    between = "p" if disk[-1:].isdigit() else ""
    return f"{disk}{between}{partition}" if partition else disk


def family(device: str) -> str:
    """Say with what a kernel's name begins: "sd", "nvme"; "" for any other name."""
    match = _FAMILY.match(device) if split(device) else None
    return match[1] if match else ""


def hardware_family(device: str) -> str:
    """Return which kernel's names a disk has that udev calls so; "" when it may have any.

    As udev's 60-persistent-storage.rules make them: by-id/ata-…, by-path/pci-0000:00:04.0-nvme-1.
    """
    found = [name for pattern, name in _HARDWARE if pattern.search(device)]
    return found[0] if found else ""


def used(*texts: str) -> frozenset[str]:
    """Say of which families a guest's fstab(5) and crypttab(5) name disks; no drives for media."""
    lines = [line for text in texts for line in text.splitlines() if not _MEDIA.search(line)]
    return frozenset(family(name) for line in lines for name in _USED.findall(line))


def by_position(number: int) -> tuple[str, ...]:
    """Give all names that the disk `number`, from 0, has if all disks are of one driver."""
    return tuple(name for each in _BUSES for name in _ranked(each, number))


def possible(
    disks: Sequence[SourceDisk], families: frozenset[str] = frozenset()
) -> tuple[tuple[str, ...], ...]:
    """Give for each disk the names ("/dev/sda") that kernels at the source may have for it.

    `families` are those that the guest uses: where it uses several, nothing can be said of disks
    whose bus nobody knows.
    """
    names: list[list[str]] = [[] for _ in disks]
    for each, buses in _BUSES.items():
        counted = _counted(disks, buses, families)
        mixed = len({disks[n].known_bus for n in counted}) > 1
        for number, ranks in _ranks(counted, mixed=mixed).items():
            names[number] += [name for rank in ranks for name in _ranked(each, rank)]
    return tuple(tuple(found) for found in _with_targets(disks, names))


def _counted(
    disks: Sequence[SourceDisk], buses: frozenset[str], families: frozenset[str]
) -> list[int]:
    """List the disks that are counted together, in the order of their targets."""
    untold = {""} if len(families) < 2 else set()
    there = [n for n, disk in enumerate(disks) if disk.known_bus in buses | untold]
    keys = {n: _TARGET.fullmatch(disks[n].target) for n in there}
    if all(keys.values()):
        there.sort(key=lambda n: _letter_order(keys[n]))
    return there


def _letter_order(match: re.Match[str] | None) -> tuple[int, str]:
    return (len(match[1]), match[1]) if match else (0, "")


def _ranks(counted: Sequence[int], *, mixed: bool) -> dict[int, Sequence[int]]:
    everywhere = range(len(counted))
    return {n: everywhere if mixed else (rank,) for rank, n in enumerate(counted)}


def _ranked(each: str, rank: int) -> Iterator[str]:
    match each:
        case "nvme":
            # A controller for each disk, or one with a namespace for each.
            yield from dict.fromkeys((f"/dev/nvme{rank}n1", f"/dev/nvme0n{rank + 1}"))
        case "mmcblk":
            yield f"/dev/mmcblk{rank}"
        case "cciss" | "ida" | "rd":
            yield f"/dev/{each}/c0d{rank}"
        case _:
            yield f"/dev/{each}{_letters(rank)}"


def _letters(rank: int) -> str:
    first = chr(ord("a") + rank // 26 - 1) if rank >= 26 else ""
    return first + chr(ord("a") + rank % 26)


def _with_targets(disks: Sequence[SourceDisk], names: Sequence[list[str]]) -> Iterator[list[str]]:
    """Add a disk's own target where no disk has that name by its rank.

    A disk that was plugged in where another one had been is called so until the next start.
    """
    taken = {name for found in names for name in found}
    for disk, found in zip(disks, names, strict=True):
        target = f"/dev/{disk.target}"
        fits = disk.known_bus in _BUSES.get(family(target), frozenset()) - {""}
        yield [*found, target] if fits and target not in taken else found
