# SPDX-License-Identifier: Apache-2.0
from hypothesis import given
from hypothesis import strategies as st

from tradewind.model.storage import Extent, ExtentKind
from tradewind.streaming.plan import ZERO_LIMIT, Action, Piece, batches, plan
from tradewind.units import GiB, MiB

DATA, ZERO = ExtentKind.DATA, ExtentKind.ZERO


@st.composite
def disks(draw: st.DrawFn) -> list[Extent]:
    """Extents of a small disk in units of one byte; neighbours may be of one kind."""
    lengths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=12))
    extents, start = [], 0
    for length in lengths:
        extents.append(Extent(start, length, draw(st.sampled_from(ExtentKind))))
        start += length
    return extents


def apply(pieces: list[Piece], source: bytes, target: bytearray) -> None:
    for piece in pieces:
        end = piece.start + piece.length
        is_copy = piece.action is Action.COPY
        target[piece.start : end] = source[piece.start : end] if is_copy else bytes(piece.length)


@given(disks(), st.booleans(), st.integers(1, 50))
def test_the_target_becomes_the_source(
    extents: list[Extent], blank: bool, request_size: int
) -> None:
    size = extents[-1].end
    source = bytearray(bytes(size))
    for extent in extents:
        if extent.kind is DATA:
            source[extent.start : extent.end] = bytes(7 for _ in range(extent.length))
    target = bytearray(size if blank else b"\xaa" * size)
    pieces = list(plan(extents, blank=blank, request_size=request_size))
    apply(pieces, bytes(source), target)
    assert target == source
    for piece in pieces:
        last = piece.start + piece.length - 1
        assert piece.action is Action.ZERO or piece.start // request_size == last // request_size
        assert not (blank and piece.action is Action.ZERO)


@given(disks(), st.integers(1, 50))
def test_batches_keep_every_piece_in_order(extents: list[Extent], request_size: int) -> None:
    pieces = list(plan(extents, blank=False, request_size=request_size))
    groups = list(batches(pieces, request_size))
    assert [piece for group in groups for piece in group] == pieces
    assert all(sum(p.length for p in group[:-1]) < request_size for group in groups)


def test_zero_goes_in_pieces_that_storage_finishes_in_time() -> None:
    pieces = list(plan([Extent(1 * MiB, 1 * GiB, ZERO)], blank=False))
    assert max(piece.length for piece in pieces) == ZERO_LIMIT
    assert sum(piece.length for piece in pieces) == 1 * GiB


def test_copies_end_on_multiples_of_the_request_size() -> None:
    pieces = list(plan([Extent(1 * MiB, 8 * MiB, DATA)], blank=True))
    assert [(p.start // MiB, p.length // MiB) for p in pieces] == [(1, 3), (4, 4), (8, 1)]


def test_nothing_is_made_of_nothing() -> None:
    assert list(plan([], blank=True)) == []
    assert list(batches([])) == []


def test_a_huge_disk_is_planned_piece_by_piece() -> None:
    first = next(plan([Extent(0, 1 << 60, DATA)], blank=True))
    assert first.range == (0, 4 * MiB)
