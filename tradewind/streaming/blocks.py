# SPDX-License-Identifier: Apache-2.0
"""Which parts of a piece have to reach the target. Pure.

A piece is looked at in blocks of 64 KiB, the same that digests are made of::

    source   |data|data|zero|zero|data|
    target   |data|....|data|zero|....|      .... = other content
    run      |same|copy|zero|same|copy|
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from itertools import groupby
from typing import Final, NamedTuple

from tradewind.ports import Range
from tradewind.streaming.writer_service import BLOCK, combined, zero_block_digest


class Need(Enum):
    """What a block of the target needs to become like the source's."""

    COPY = "copy"
    ZERO = "zero"
    SAME = "same"


class Run(NamedTuple):
    """Neighbouring blocks of one need: bytes within the piece, and the digest of the range."""

    start: int
    length: int
    need: Need
    digest: bytes


class _Block(NamedTuple):
    start: int
    length: int
    need: Need
    digest: bytes


def block_ranges(start: int, length: int) -> list[Range]:
    """Cut a range into the blocks that are compared."""
    end = start + length
    return [Range(at, min(BLOCK, end - at)) for at in range(start, end, BLOCK)]


def runs(ours: Sequence[bytes], theirs: Sequence[bytes] | None, length: int) -> Iterator[Run]:
    """Compare a piece's block digests with the target's range digests of the same blocks.

    `theirs` is None for a target that reads as zero all over.
    """
    for need, group in groupby(_blocks(ours, theirs, length), key=lambda block: block.need):
        blocks = list(group)
        size = sum(block.length for block in blocks)
        yield Run(blocks[0].start, size, need, combined(block.digest for block in blocks))


def zero_digest(length: int) -> bytes:
    """Make the digest of a range of zeroes."""
    whole, rest = divmod(length, BLOCK)
    blocks: Iterable[bytes] = [zero_block_digest(BLOCK)] * whole
    return combined([*blocks, *([zero_block_digest(rest)] if rest else [])])


def _blocks(ours: Sequence[bytes], theirs: Sequence[bytes] | None, length: int) -> Iterator[_Block]:
    for index, digest in enumerate(ours):
        size = min(BLOCK, length - index * BLOCK)
        is_zero = digest == zero_block_digest(size)
        is_same = is_zero if theirs is None else combined([digest]) == theirs[index]
        yield _Block(index * BLOCK, size, _NEEDS[is_same, is_zero], digest)


_NEEDS: Final = {
    (True, True): Need.SAME,
    (True, False): Need.SAME,
    (False, True): Need.ZERO,
    (False, False): Need.COPY,
}
