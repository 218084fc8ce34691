# SPDX-License-Identifier: Apache-2.0
"""See that a BIOS finds something to start on the machine's first disk."""

import base64
from dataclasses import dataclass
from typing import Final

from tradewind.model.guest import (
    ChrootAccess,
    GuestDisk,
    GuestOS,
    MorphOptions,
    Outcome,
    PartitionTable,
)
from tradewind.model.machine import FirmwareKind
from tradewind.ports import GuestTree

_SECTOR: Final = 512
# The master boot record: code, from 446 four partitions, at the end the signature.
_CODE: Final = 440
_TABLE: Final = 446
_SIGNATURE: Final = b"\x55\xaa"
_ACTIVE: Final = 0x80
# Where GRUB's boot.img says in which sector its core begins (boot.S, kernel_sector).
_CORE: Final = slice(0x5C, 0x64)

_READ: Final = 'dd if="$1" bs=512 skip="$2" count=1 2>/dev/null | base64'


@dataclass(frozen=True, slots=True)
class _BootCode:
    """What one disk starts with; `lacking` says why it starts nothing, "" when it does."""

    loader: str
    lacking: str = ""


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Return whether the machine starts by BIOS; for UEFI another step does it."""
    return os.firmware is FirmwareKind.BIOS and bool(os.disks)


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Read the first sector, and the one that it leads to; write nothing."""
    starts = [_start(guest, disk) for disk in os.disks]
    if not starts[0].lacking:
        return Outcome(changed=False, summary=f"{starts[0].loader} is on disk 1")
    other = next((n for n, start in enumerate(starts, 1) if not start.lacking), None)
    remedy = "install the boot loader on the first disk on the source, and transfer again"
    if other is not None:
        remedy = f"{starts[other - 1].loader} is on disk {other}: let the machine start from it"
    return Outcome(changed=False, done=False, summary=f"disk 1 {starts[0].lacking}", remedy=remedy)


def _start(guest: GuestTree, disk: GuestDisk) -> _BootCode:
    first = _sector(guest, disk, 0)
    if len(first) < _SECTOR or first[-2:] != _SIGNATURE:
        return _BootCode("", "has no boot sector")
    if not any(first[:_CODE]):
        return _BootCode("", "has no code in its boot sector")
    if b"GRUB" in first[:_CODE]:
        return _grub(guest, disk, first)
    return _generic(guest, disk, first)


def _grub(guest: GuestTree, disk: GuestDisk, first: bytes) -> _BootCode:
    if disk.table is PartitionTable.GPT and not disk.bios_boot:
        return _BootCode(
            "", "has GRUB's first sector, but no BIOS boot partition for the rest of it"
        )
    core = _sector(guest, disk, int.from_bytes(first[_CORE], "little"))
    if not any(core):
        return _BootCode("", "has GRUB's first sector, but not the rest of it")
    return _BootCode("GRUB")


def _generic(guest: GuestTree, disk: GuestDisk, first: bytes) -> _BootCode:
    """Follow code that starts the active partition."""
    for number in range(4):
        entry = first[_TABLE + 16 * number : _TABLE + 16 * (number + 1)]
        if entry[0] == _ACTIVE:
            begin = int.from_bytes(entry[8:12], "little")
            if _sector(guest, disk, begin)[-2:] == _SIGNATURE:
                return _BootCode(f"code that starts partition {number + 1}")
            return _BootCode("", f"starts partition {number + 1}, which has no boot sector")
    return _BootCode("a boot loader that we do not know")


def _sector(guest: GuestTree, disk: GuestDisk, number: int) -> bytes:
    # Beyond the end of the disk there is nothing; a hostile number leads there.
    argv = ["sh", "-c", _READ, "sh", disk.device, str(min(number, 2**40))]
    said = guest.run(argv, reach=ChrootAccess.DISKS)
    return base64.b64decode(said.stdout)
