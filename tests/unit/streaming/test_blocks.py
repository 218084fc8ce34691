# SPDX-License-Identifier: Apache-2.0
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.disk_writer import blake2b, expected_digest
from tradewind.model.storage import TargetState
from tradewind.streaming.blocks import BlockAction, block_ranges, runs, zero_digest
from tradewind.streaming.writer_service import BLAKE2B, BLOCK, Tagger, combined

DATA, OTHER, ZERO = os.urandom(BLOCK), os.urandom(BLOCK), bytes(BLOCK)
KEY = os.urandom(32)
TAGGER = Tagger(KEY, BLAKE2B)
BLOCKS = st.lists(st.sampled_from([DATA, OTHER, ZERO]), min_size=1, max_size=8)


def range_digests(content: bytes) -> list[bytes]:
    return [
        combined(TAGGER.tags(memoryview(content)[start : start + size]))
        for start, size in block_ranges(0, len(content))
    ]


@settings(deadline=None)  # a busy machine is no failure
@given(BLOCKS, BLOCKS, st.integers(1, BLOCK))
def test_runs_make_any_target_like_the_source(
    ours: list[bytes], theirs: list[bytes], tail: int
) -> None:
    count = min(len(ours), len(theirs))
    size = (count - 1) * BLOCK + tail
    source = b"".join(ours)[:size]
    target = bytearray(b"".join(theirs)[:size])
    position = 0
    theirs = range_digests(bytes(target))
    for run in runs(TAGGER.tags(memoryview(source)), TargetState.UNKNOWN, theirs, size):
        end = run.start + run.length
        assert run.start == position
        assert run.digest == expected_digest(source[run.start : end], blake2b(KEY))
        if run.need is BlockAction.SAME:
            assert target[run.start : end] == source[run.start : end]
        elif run.need is BlockAction.ZERO:
            assert target[run.start : end] != bytes(run.length)
            target[run.start : end] = bytes(run.length)
        else:
            target[run.start : end] = source[run.start : end]
        position = end
    assert position == size
    assert target == source


@settings(deadline=None)  # a busy machine is no failure
@given(BLOCKS)
def test_a_blank_target_gets_no_zeroes(ours: list[bytes]) -> None:
    source = b"".join(ours)
    target = bytearray(len(source))
    for run in runs(TAGGER.tags(memoryview(source)), TargetState.BLANK, (), len(source)):
        assert run.need is not BlockAction.ZERO
        if run.need is BlockAction.COPY:
            target[run.start : run.start + run.length] = source[run.start : run.start + run.length]
    assert target == source


@settings(deadline=None)  # a busy machine is no failure
@given(BLOCKS)
def test_what_changed_since_a_checkpoint_is_written_without_asking(ours: list[bytes]) -> None:
    source = b"".join(ours)
    target = bytearray(b"\xaa" * len(source))
    for run in runs(TAGGER.tags(memoryview(source)), TargetState.AT_CHECKPOINT, (), len(source)):
        end = run.start + run.length
        assert run.need is not BlockAction.SAME
        target[run.start : end] = source[run.start : end]
        assert (run.need is BlockAction.ZERO) is not any(source[run.start : end])
    assert target == source


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(1, 5 * BLOCK))
def test_the_digest_of_zeroes_needs_no_zeroes(length: int) -> None:
    assert zero_digest(length) == expected_digest(bytes(length), blake2b(KEY))
