# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tradewind.model.storage import Extent, ExtentKind, TargetState
from tradewind.streaming.plan import ZERO_LIMIT, Action, Piece, batches, plan, without
from tradewind.units import GiB, MiB

DATA, ZERO, CLEAN = ExtentKind.DATA, ExtentKind.ZERO, ExtentKind.CLEAN


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


def before_and_after(extents: list[Extent], target: TargetState) -> tuple[bytearray, bytearray]:
    """What the target holds and what it has to become: clean ranges are equal already."""
    size = extents[-1].end
    before = bytearray(size if target is TargetState.BLANK else b"\xaa" * size)
    after = bytearray(size)
    for extent in extents:
        if extent.kind is not ZERO:
            byte = 7 if extent.kind is DATA else 9
            after[extent.start : extent.end] = bytes([byte]) * extent.length
        if extent.kind is CLEAN:
            before[extent.start : extent.end] = after[extent.start : extent.end]
    return before, after


@given(disks(), st.sampled_from(TargetState), st.integers(1, 50))
def test_the_target_becomes_the_source(
    extents: list[Extent], target: TargetState, request_size: int
) -> None:
    assume(target is not TargetState.BLANK or all(e.kind is not CLEAN for e in extents))
    held, source = before_and_after(extents, target)
    pieces = list(plan(extents, target, request_size))
    apply(pieces, bytes(source), held)
    assert held == source
    for piece in pieces:
        last = piece.start + piece.length - 1
        assert piece.action is Action.ZERO or piece.start // request_size == last // request_size
        assert target is not TargetState.BLANK or piece.action is Action.COPY


@given(disks(), st.sampled_from([TargetState.AT_CHECKPOINT, TargetState.UNKNOWN]))
def test_what_is_clean_costs_nothing(extents: list[Extent], target: TargetState) -> None:
    touched = sum(piece.length for piece in plan(extents, target))
    assert touched == sum(e.length for e in extents if e.kind is not CLEAN)


def test_a_blank_target_cannot_be_clean() -> None:
    with pytest.raises(ValueError, match="blank"):
        list(plan([Extent(0, 8, CLEAN)], TargetState.BLANK))


@given(disks(), disks(), st.sets(st.integers(0, 11)))
def test_each_byte_is_left_out_or_told_as_before(
    extents: list[Extent], told: list[Extent], chosen: set[int]
) -> None:
    others = [extent for number, extent in enumerate(told) if number in chosen]
    rest = list(without(extents, others))
    left_out = {byte for other in others for byte in range(other.start, other.end)}
    expected = [each for each in by_the_byte(extents) if each[0] not in left_out]
    assert by_the_byte(rest) == expected
    assert all(extent.length > 0 for extent in rest)


def by_the_byte(extents: list[Extent]) -> list[tuple[int, ExtentKind]]:
    return [(byte, each.kind) for each in extents for byte in range(each.start, each.end)]


@given(disks(), st.integers(1, 50))
def test_batches_keep_every_piece_in_order(extents: list[Extent], request_size: int) -> None:
    pieces = list(plan(extents, TargetState.UNKNOWN, request_size))
    groups = list(batches(pieces, request_size))
    assert [piece for group in groups for piece in group] == pieces
    assert all(sum(p.length for p in group[:-1]) < request_size for group in groups)


def test_zero_goes_in_pieces_that_storage_finishes_in_time() -> None:
    pieces = list(plan([Extent(1 * MiB, 1 * GiB, ZERO)], TargetState.UNKNOWN))
    assert max(piece.length for piece in pieces) == ZERO_LIMIT
    assert sum(piece.length for piece in pieces) == 1 * GiB


def test_copies_end_on_multiples_of_the_request_size() -> None:
    pieces = list(plan([Extent(1 * MiB, 8 * MiB, DATA)], TargetState.BLANK))
    assert [(p.start // MiB, p.length // MiB) for p in pieces] == [(1, 3), (4, 4), (8, 1)]


def test_nothing_is_made_of_nothing() -> None:
    assert list(plan([], TargetState.BLANK)) == []
    assert list(batches([])) == []


def test_a_huge_disk_is_planned_piece_by_piece() -> None:
    first = next(plan([Extent(0, 1 << 60, DATA)], TargetState.BLANK))
    assert first.range == (0, 4 * MiB)
