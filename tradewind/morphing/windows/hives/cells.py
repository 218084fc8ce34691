# SPDX-License-Identifier: Apache-2.0
"""The bins of a hive and the cells in them, in which everything else lies."""

import struct
from typing import Final

from tradewind.morphing.windows.hives import base_block
from tradewind.morphing.windows.hives.malformed import MalformedHiveError

NOWHERE: Final = 0xFFFFFFFF
_BIN_HEAD: Final = 32
_PAGE: Final = 4096
_ALIGNED: Final = 8
# What is known of the place where a cell begins.
_NO_CELL, _FREE_TO_TAKE, _TAKEN = 0, 1, 2


class Cells:
    """All allocated cells; each belongs to one owner, who takes it.

    Offsets count from the first bin, as the hive itself counts. The map of cells takes an eighth
    of the hive's size.
    """

    def __init__(self, content: bytes, bins_size: int) -> None:
        if base_block.SIZE + bins_size > len(content):
            raise MalformedHiveError("it is truncated")
        self._bins = memoryview(content)[base_block.SIZE : base_block.SIZE + bins_size]
        self._known = bytearray(bins_size // _ALIGNED)
        at = 0
        while at < bins_size:
            at = self._read_bin(at)

    def _read_bin(self, start: int) -> int:
        """Note the cells of a bin; return where the next one begins."""
        found: tuple[bytes, int, int] = struct.unpack_from("<4sII", self._bins, start)
        magic, offset, size = found
        end = start + size
        if magic != b"hbin" or offset != start or not size or size % _PAGE:
            raise MalformedHiveError(f"no bin begins at {start:#x} where one has to")
        if end > len(self._bins):
            raise MalformedHiveError(f"its bin at {start:#x} ends outside of it")
        at = start + _BIN_HEAD
        while at < end:
            (said,) = struct.unpack_from("<i", self._bins, at)
            length = abs(said)
            if length < _ALIGNED or length % _ALIGNED or at + length > end:
                raise MalformedHiveError(f"its cell at {at:#x} has a wrong size")
            if said < 0:
                self._known[at // _ALIGNED] = _FREE_TO_TAKE
            at += length
        return end

    def take(self, offset: int, what: str) -> memoryview:
        """Return the bytes of a cell for its only owner; MalformedHiveError for a second one."""
        if self._state(offset, what) == _TAKEN:
            raise MalformedHiveError(f"{what} at {offset:#x} belongs to two owners")
        self._known[offset // _ALIGNED] = _TAKEN
        return self._content(offset)

    def share(self, offset: int, what: str) -> memoryview:
        """Return the bytes of a cell that may have many owners."""
        self._state(offset, what)
        return self._content(offset)

    def _state(self, offset: int, what: str) -> int:
        known = offset % _ALIGNED == 0 and offset < len(self._bins)
        state = self._known[offset // _ALIGNED] if known else _NO_CELL
        if state == _NO_CELL:
            raise MalformedHiveError(f"{what} is said to be at {offset:#x}, where no cell begins")
        return state

    def _content(self, offset: int) -> memoryview:
        (said,) = struct.unpack_from("<i", self._bins, offset)
        return self._bins[offset + 4 : offset - said]
