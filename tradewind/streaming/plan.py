# SPDX-License-Identifier: Apache-2.0
"""What to do with each range of a disk: copy it, zero it, or leave it alone. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Final, NamedTuple

from tradewind.model.storage import Extent, ExtentKind, TargetState
from tradewind.ports import Range
from tradewind.units import MiB

# Larger zero requests run into the timeouts of iSCSI targets (ovirt-imageio's experience).
ZERO_LIMIT: Final = 128 * MiB

REQUEST_SIZE: Final = 4 * MiB

# Small pieces travel together, so that a fragmented disk does not cost one request for each.
BATCH_PIECES: Final = 64


class Action(Enum):
    """What the target has to receive for a range."""

    COPY = "copy"
    ZERO = "zero"


class Piece(NamedTuple):
    """A range in bytes that is worked on at once."""

    start: int
    length: int
    action: Action

    @property
    def range(self) -> Range:
        """Where it is."""
        return Range(self.start, self.length)


def plan(
    extents: Iterable[Extent], target: TargetState, request_size: int = REQUEST_SIZE
) -> Iterator[Piece]:
    """Turn extents into pieces, in order.

    Data is copied in pieces that end on multiples of `request_size`. Zero is left alone on a
    blank target, and zeroed on any other in pieces of at most 128 MiB. Clean is left alone; a
    blank target was never at any checkpoint, so there it is a ValueError.
    """
    for extent in extents:
        match extent.kind, target:
            case ExtentKind.DATA, _:
                yield from _cut(extent, request_size, Action.COPY)
            case ExtentKind.ZERO, TargetState.AT_CHECKPOINT | TargetState.UNKNOWN:
                yield from _cut(extent, ZERO_LIMIT, Action.ZERO)
            case ExtentKind.CLEAN, TargetState.BLANK:
                raise ValueError(f"{extent} is clean, but the target is blank")


def without(extents: Iterable[Extent], others: Sequence[Extent]) -> Iterator[Extent]:
    """Leave out of `extents` what lies within `others`, of whatever kind; both are in order.

    An extent that is partly within another one is cut.
    """
    at = 0
    for extent in extents:
        start = extent.start
        while at < len(others) and others[at].start < extent.end:
            other = others[at]
            if start < other.start:
                yield Extent(start, other.start - start, extent.kind)
            start = max(start, other.end)
            if other.end > extent.end:
                break
            at += 1
        if start < extent.end:
            yield Extent(start, extent.end - start, extent.kind)


def batches(pieces: Iterable[Piece], request_size: int = REQUEST_SIZE) -> Iterator[list[Piece]]:
    """Gather neighbours in order until they come to `request_size` bytes or to 64 pieces."""
    batch: list[Piece] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += piece.length
        if size >= request_size or len(batch) >= BATCH_PIECES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _cut(extent: Extent, step: int, action: Action) -> Iterator[Piece]:
    start = extent.start
    while start < extent.end:
        end = min(extent.end, (start // step + 1) * step)
        yield Piece(start, end - start, action)
        start = end
