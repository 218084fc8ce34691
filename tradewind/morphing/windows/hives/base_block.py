# SPDX-License-Identifier: Apache-2.0
"""The first 4 KiB of a hive, whose first sector also begins each of its logs."""

import struct
from dataclasses import dataclass
from typing import Final

from tradewind.morphing.windows.hives.malformed import MalformedHiveError

SIZE: Final = 4096
SECTOR: Final = 512
# The file type of a hive, of a log before Windows 8.1 (2 in Windows 2000), of a log since then.
HIVE: Final = 0
OLD_LOGS: Final = (1, 2)
NEW_LOG: Final = 6

_HEAD: Final = struct.Struct("<4sIIQIIIIII")
_SEQUENCES_AT: Final = 4
_KIND_AT: Final = 28
_BINS_SIZE_AT: Final = 40
_FLAGS_AT: Final = 144
_CHECKSUM_AT: Final = 508
# The bit of the flags that a log keeps: the transaction manager has locked the hive.
_LOCKED: Final = 1


@dataclass(frozen=True, slots=True)
class BaseBlock:
    """What it says. `written` is a FILETIME, `root` counts from the first bin, sizes are bytes.

    `sealed` says that the checksum is right.
    """

    primary: int
    secondary: int
    written: int
    major: int
    minor: int
    kind: int
    root: int
    bins_size: int
    sealed: bool

    @property
    def dirty(self) -> bool:
        """Whether a write began and did not end, so that the logs have to be looked at."""
        return not self.sealed or self.primary != self.secondary


def read(content: bytes | bytearray) -> BaseBlock:
    """Read a base block; MalformedHiveError when there is none."""
    if len(content) < SECTOR or content[:4] != b"regf":
        raise MalformedHiveError("it does not begin with the base block of a hive")
    _, primary, secondary, written, major, minor, kind, _, root, size = _HEAD.unpack_from(content)
    (said,) = struct.unpack_from("<I", content, _CHECKSUM_AT)
    sealed = said == checksum(content)
    return BaseBlock(primary, secondary, written, major, minor, kind, root, size, sealed)


def checksum(content: bytes | bytearray) -> int:
    """Fold the first 508 bytes by exclusive or; 0 and 2^32 - 1 are never a checksum."""
    folded = 0
    for (word,) in struct.iter_unpack("<I", content[:_CHECKSUM_AT]):
        folded ^= word
    return {0: 1, 0xFFFFFFFF: 0xFFFFFFFE}.get(folded, folded)


def settle(content: bytearray, sequence: int, bins_size: int) -> None:
    """Make the base block say that all of its hive is written."""
    struct.pack_into("<II", content, _SEQUENCES_AT, sequence, sequence)
    struct.pack_into("<I", content, _KIND_AT, HIVE)
    struct.pack_into("<I", content, _BINS_SIZE_AT, bins_size)
    struct.pack_into("<I", content, _CHECKSUM_AT, checksum(content))


def set_locked(content: bytearray, flags: int) -> None:
    """Take over from a log whether the transaction manager has locked the hive."""
    (before,) = struct.unpack_from("<I", content, _FLAGS_AT)
    struct.pack_into("<I", content, _FLAGS_AT, before & ~_LOCKED | flags & _LOCKED)
