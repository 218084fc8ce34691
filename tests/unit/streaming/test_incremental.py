# SPDX-License-Identifier: Apache-2.0
"""Any history of a disk: whatever is written between executions, the replica equals the disk.

Executions may break off in the middle; what they wrote is then known to be unknown.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.memory import STEP, MemoryReader, MemoryTarget, MemoryWriter, extents_of
from tradewind.errors import StreamError
from tradewind.model.storage import Extent, ExtentKind, TargetState
from tradewind.sources.nbd import merged
from tradewind.streaming import disk_copy
from tradewind.streaming.copy import copy_disk
from tradewind.streaming.copy_thread import CopyJob

SIZE = 24 * STEP + 512

# Where, how much, and what is written; zero is what a guest overwrites or discards with.
WRITES = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.integers(1, 6 * STEP), st.sampled_from([0, 1, 2])),
    max_size=5,
)
# Each execution: the writes before it, the request size, and after how many writes it breaks off.
HISTORY = st.lists(
    st.tuples(
        WRITES,
        st.sampled_from([STEP, 3 * STEP, 64 * STEP]),
        st.none() | st.integers(0, 3),
    ),
    min_size=1,
    max_size=5,
)


@dataclass
class BreakingWriter(MemoryWriter):
    """A writer whose connection breaks after some writes."""

    left: list[int] = field(default_factory=lambda: [1 << 30])

    def write(self, offset: int, view: memoryview) -> int:
        self._spend()
        return super().write(offset, view)

    def zero(self, offset: int, length: int) -> None:
        self._spend()
        super().zero(offset, length)

    def _spend(self) -> None:
        self.left[0] -= 1
        if self.left[0] < 0:
            raise StreamError("the connection broke")


@dataclass
class TrackedDisk:
    """A disk with a dirty bitmap: a block that was written to is dirty, whatever it holds now."""

    content: bytearray = field(default_factory=lambda: bytearray(SIZE))
    dirty: set[int] | None = None

    def write(self, start: int, length: int, byte: int) -> None:
        end = min(start + length, SIZE)
        self.content[start:end] = bytes([byte]) * (end - start)
        if self.dirty is not None:
            self.dirty.update(range(start // STEP, (end - 1) // STEP + 1))

    def extents(self) -> Iterator[Extent]:
        if self.dirty is None:
            yield from extents_of(self.content)
            return
        for block, start in enumerate(range(0, SIZE, STEP)):
            part = self.content[start : start + STEP]
            kind = ExtentKind.DATA if any(part) else ExtentKind.ZERO
            yield Extent(start, len(part), kind if block in self.dirty else ExtentKind.CLEAN)


@dataclass
class Replica:
    """A volume, and what is known of it: the rules of the ledger in three lines."""

    target: MemoryTarget = field(default_factory=lambda: MemoryTarget(bytearray(SIZE)))
    state: TargetState = TargetState.BLANK

    def execute(self, disk: TrackedDisk, request_size: int, breaks_after: int | None) -> bool:
        left = [1 << 30 if breaks_after is None else breaks_after]
        job = CopyJob(
            disk_id="sda",
            capacity=SIZE,
            target=self.state,
            extents=disk.extents,
            open_reader=partial(reading, bytes(disk.content)),
            open_writer=lambda: BreakingWriter(self.target, left=left),
            request_size=request_size,
        )
        self.state = TargetState.UNKNOWN
        try:
            copy_disk(job, threading.Event(), lambda _: None, connections=2)
        except StreamError:
            return False
        self.state, disk.dirty = TargetState.AT_CHECKPOINT, set()
        return True


@contextmanager
def reading(disk: bytes) -> Iterator[MemoryReader]:
    yield MemoryReader(disk)


@settings(deadline=None, max_examples=60)  # a busy machine is no failure
@given(HISTORY)
def test_replica_equals_the_disk_after_every_execution_that_ends_well(
    history: list[tuple[list[tuple[int, int, int]], int, int | None]],
) -> None:
    disk, replica = TrackedDisk(), Replica()
    for writes, request_size, breaks_after in history:
        for start, length, byte in writes:
            disk.write(start, length, byte)
        if replica.execute(disk, request_size, breaks_after):
            assert is_equal(disk, replica)
    assert replica.execute(disk, STEP, None)
    assert is_equal(disk, replica)


# For each block: what it held before, what it holds, and whether each of two walks says all that is
# true of it, or only that it is data.
BLOCKS = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.sampled_from([0, 1, 2]), st.booleans(), st.booleans()),
    min_size=1,
    max_size=24,
)


def told(disk: bytes, before: bytes, exactly: list[bool], *, tracked: bool) -> list[Extent]:
    """Extents of a disk; where they are not exact they say that there is data."""
    extents = []
    for block, start in enumerate(range(0, len(disk), STEP)):
        part = disk[start : start + STEP]
        kind = ExtentKind.DATA
        if exactly[block]:
            is_clean = tracked and part == before[start : start + STEP]
            zero = ExtentKind.DATA if any(part) else ExtentKind.ZERO
            kind = ExtentKind.CLEAN if is_clean else zero
        extents.append(Extent(start, len(part), kind))
    return list(merged(extents))


@settings(deadline=None, max_examples=200)
@given(BLOCKS, st.sampled_from(TargetState), st.integers(1, 3), st.sampled_from([0, 1, 3, 16384]))
def test_replica_equals_the_disk_whose_extents_are_told_in_two_ways(
    blocks: list[tuple[int, int, bool, bool]], state: TargetState, threads: int, remembered: int
) -> None:
    """As the frozen disk of a machine that runs on: copied clusters change what is told of them."""
    before = b"".join(bytes([byte]) * STEP for byte, _, _, _ in blocks)
    disk = b"".join(bytes([byte]) * STEP for _, byte, _, _ in blocks)
    exactly = iter([[first for _, _, first, _ in blocks], [second for _, _, _, second in blocks]])
    held = {
        TargetState.BLANK: bytes(len(disk)),
        TargetState.AT_CHECKPOINT: before,
        TargetState.UNKNOWN: bytes(reversed(before)),
    }[state]
    tracked = state is TargetState.AT_CHECKPOINT
    target = MemoryTarget(bytearray(held))
    job = CopyJob(
        disk_id="sda",
        capacity=len(disk),
        target=state,
        extents=lambda: told(disk, before, next(exactly), tracked=tracked),
        open_reader=partial(reading, disk),
        open_writer=lambda: MemoryWriter(target),
        request_size=3 * STEP,
    )
    with patch.object(disk_copy, "_REMEMBERED", remembered):
        copy_disk(job, threading.Event(), lambda _: None, connections=threads)
    is_same = target.content == disk
    assert is_same


def is_equal(disk: TrackedDisk, replica: Replica) -> bool:
    """Compare without a word: pytest takes minutes to explain how two such contents differ."""
    return replica.target.content == disk.content
