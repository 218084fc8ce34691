# SPDX-License-Identifier: Apache-2.0
"""Logs since Windows 8.1: entries of pages, each with a sequence number and two hashes."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tradewind.morphing.windows.hives import base_block
from tradewind.morphing.windows.hives.marvin32 import hashed

_HEAD: Final = struct.Struct("<4s5I2Q")
_HASHED_HEAD: Final = 32
_REFERENCE: Final = struct.Struct("<II")
_PAGE: Final = 4096


@dataclass(frozen=True, slots=True)
class LogEntry:
    """Pages that were written together; offsets count from the first bin."""

    sequence: int
    flags: int
    bins_size: int
    pages: tuple[tuple[int, memoryview], ...]


def read(log: bytes, first: int) -> Iterator[LogEntry]:
    """Read entries from number `first` on, in a row; end before the first that is not whole.

    What follows a gap are entries of earlier rounds, which the kernel writes over.
    """
    at, sequence = base_block.SECTOR, first
    view = memoryview(log)
    while entry := _entry(view[at:]):
        if entry.sequence != sequence:
            return
        yield entry
        sequence += 1
        at += struct.unpack_from("<I", log, at + 4)[0]


def _entry(rest: memoryview) -> LogEntry | None:
    """Read one entry; None when it is torn, or none at all."""
    if len(rest) < _HEAD.size:
        return None
    magic, size, flags, sequence, bins_size, count, body_hash, head_hash = _HEAD.unpack_from(rest)
    if magic != b"HvLE" or not _HEAD.size <= size <= len(rest) or size % base_block.SECTOR:
        return None
    if bins_size % _PAGE or hashed(rest[:_HASHED_HEAD]) != head_hash:
        return None
    if hashed(rest[_HEAD.size : size]) != body_hash:
        return None
    pages = _pages(rest[_HEAD.size : size], count, bins_size)
    return None if pages is None else LogEntry(sequence, flags, bins_size, pages)


def _pages(
    body: memoryview, count: int, bins_size: int
) -> tuple[tuple[int, memoryview], ...] | None:
    """Take the pages apart; None when one lies outside the entry or the hive."""
    at = count * _REFERENCE.size
    if at > len(body):
        return None
    pages: list[tuple[int, memoryview]] = []
    for offset, size in _REFERENCE.iter_unpack(body[:at]):
        if at + size > len(body) or offset + size > bins_size:
            return None
        pages.append((offset, body[at : at + size]))
        at += size
    return tuple(pages)
