# SPDX-License-Identifier: Apache-2.0
"""Logs before Windows 8.1: a bitmap of the hive's sectors, and those whose bit is set."""

from collections.abc import Iterator
from typing import Final

from tradewind.morphing.windows.hives import base_block
from tradewind.morphing.windows.hives.base_block import SECTOR
from tradewind.morphing.windows.hives.malformed import MalformedHiveError

_MAGIC: Final = b"DIRT"


def read(log: bytes) -> Iterator[tuple[int, bytes]]:
    """Read each sector: where it lies, from the first bin, and its bytes.

    MalformedHiveError when the log is shorter than its bitmap says: there is no checksum of them.
    """
    sectors = base_block.read(log).bins_size // SECTOR
    start = SECTOR + len(_MAGIC)
    bitmap = log[start : start + sectors // 8]
    if log[SECTOR:start] != _MAGIC or len(bitmap) < sectors // 8:
        raise MalformedHiveError("its log has no bitmap of dirty sectors")
    at = -(-(start + len(bitmap)) // SECTOR) * SECTOR
    if at + SECTOR * sum(byte.bit_count() for byte in bitmap) > len(log):
        raise MalformedHiveError("its log ends before its last dirty sector")
    for number in range(sectors):
        if bitmap[number // 8] >> number % 8 & 1:
            yield number * SECTOR, log[at : at + SECTOR]
            at += SECTOR
