# SPDX-License-Identifier: Apache-2.0
"""Which parts of a piece have to reach the target. Pure.

A piece is looked at in blocks of 64 KiB, the same that are tagged for digests::

    source   |data|data|zero|zero|data|
    target   |data|....|data|zero|....|      .... = other content
    run      |same|copy|zero|same|copy|
"""

from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

from tradewind.model.storage import TargetState
from tradewind.ports import Range
from tradewind.streaming.writer_service import BLOCK, ZERO_TAG, combined


class BlockAction(Enum):
    """What a block of the target needs to become like the source's."""

    COPY = "copy"
    ZERO = "zero"
    SAME = "same"


class BlockRun(NamedTuple):
    """Neighbouring blocks of one need: bytes within the piece, and the digest of the range."""

    start: int
    length: int
    need: BlockAction
    digest: bytes


def block_ranges(start: int, length: int) -> list[Range]:
    """Cut a range into the blocks that are compared."""
    end = start + length
    return [Range(at, min(BLOCK, end - at)) for at in range(start, end, BLOCK)]


def runs(
    ours: Sequence[bytes], target: TargetState, theirs: Sequence[bytes], length: int
) -> Iterator[BlockRun]:
    """Compare the tags of a piece's blocks with what the target holds.

    `theirs` are the target's range digests of the same blocks; only an UNKNOWN target is asked.
    """
    if target is not TargetState.UNKNOWN and ZERO_TAG not in ours:
        yield BlockRun(0, length, BlockAction.COPY, combined(ours))
        return
    start = 0
    needs = zip(_needs(ours, target, theirs), ours, strict=True)
    for need, neighbours in groupby(needs, key=itemgetter(0)):
        tags = [tag for _, tag in neighbours]
        size = min(len(tags) * BLOCK, length - start)
        yield BlockRun(start, size, need, combined(tags))
        start += size


def zero_digest(length: int) -> bytes:
    """Make the digest of a range of zeroes."""
    return combined([ZERO_TAG] * -(-length // BLOCK))


def _needs(
    ours: Sequence[bytes], target: TargetState, theirs: Sequence[bytes]
) -> Iterator[BlockAction]:
    for index, tag in enumerate(ours):
        is_zero = tag == ZERO_TAG
        match target:
            case TargetState.BLANK:
                is_same = is_zero
            case TargetState.AT_CHECKPOINT:
                is_same = False
            case TargetState.UNKNOWN:
                is_same = combined([tag]) == theirs[index]
        yield _NEEDS[is_same, is_zero]


_NEEDS: Final = {
    (True, True): BlockAction.SAME,
    (True, False): BlockAction.SAME,
    (False, True): BlockAction.ZERO,
    (False, False): BlockAction.COPY,
}
