# SPDX-License-Identifier: Apache-2.0
"""One thread of a disk's copy, with its own reader, writer, buffer and journal.

::

    reader ──read──▶ buffer ──compare by block──▶ writer          (zero: never sent as bytes)
                                └─ digests ─▶ journal ──flush, read back──▶ proven
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Final

from tradewind.errors import IntegrityError
from tradewind.model.storage import Extent, TargetState
from tradewind.ports import DiskReader, DiskWriter, Range
from tradewind.streaming.blocks import BlockAction, BlockRun, block_ranges, runs, zero_digest
from tradewind.streaming.counters import Count, Counters
from tradewind.streaming.journal import Journal, WrongRangeError
from tradewind.streaming.plan import REQUEST_SIZE, Action, Piece

# Ranges a thread writes before it proves them: at most 3 MiB of journal, and half a TiB of data.
_JOURNAL_LIMIT: Final = 65536


@dataclass(frozen=True, slots=True)
class CopyJob:
    """One disk to move; `target` says what the volume holds before.

    `extents` is walked twice: to know what there is to do, and to do it. Each thread opens a reader
    and a writer of its own; one that is `Interruptible` makes a stop prompt even when it hangs.
    """

    disk_id: str
    capacity: int
    target: TargetState
    extents: Callable[[], Iterable[Extent]]
    open_reader: Callable[[], AbstractContextManager[DiskReader]]
    open_writer: Callable[[], DiskWriter]
    request_size: int = REQUEST_SIZE


class CopyThread:
    """One thread's reader, writer, buffer and journal."""

    def __init__(
        self,
        job: CopyJob,
        reader: DiskReader,
        writer: DiskWriter,
        counters: Counters,
        check: Callable[[], None],
    ) -> None:
        self._check = check
        self._job = job
        self._reader = reader
        self._writer = writer
        self._tally = counters
        self._buffer = memoryview(bytearray(job.request_size))
        self._journal = Journal()

    def copy(self, batch: Sequence[Piece]) -> None:
        """Make the target like the source for some pieces."""
        is_unknown = self._job.target is TargetState.UNKNOWN
        theirs = iter(self._writer.digests(_compared(batch)) if is_unknown else [])
        for piece in batch:
            if piece.action is Action.COPY:
                self._copy(piece, theirs)
            else:
                self._zero(piece, next(theirs, b""))
            self._tally.add("done", piece.length)
        if len(self._journal) >= _JOURNAL_LIMIT:
            self.prove()

    def prove(self) -> None:
        """Flush, then read back everything this thread wrote.

        Flushed is also what this thread found equal: an execution that was killed may have written
        it, and only a cache may have it.
        """
        self._writer.flush()
        try:
            for size in self._journal.prove(self._writer):
                self._tally.add("verified", size)
        except WrongRangeError as error:
            start, length = error.wrong
            raise IntegrityError(
                f"Disk {self._job.disk_id}: the destination does not hold what was sent for "
                f"bytes {start} to {start + length - 1}",
                "run the transfer again; if it fails again, look at the destination's storage",
            ) from None
        self._journal = Journal()

    def _copy(self, piece: Piece, theirs: Iterator[bytes]) -> None:
        view = self._buffer[: piece.length]
        self._reader.readinto(view, piece.start)
        self._tally.add("read", piece.length)
        ours = self._writer.tags(view)
        target = list(islice(theirs, len(ours)))
        for run in runs(ours, self._job.target, target, piece.length):
            self._apply(run, view, piece.start)

    def _apply(self, run: BlockRun, view: memoryview, start: int) -> None:
        self._check()
        if run.need is BlockAction.COPY:
            part = view[run.start : run.start + run.length]
            self._tally.add("wire", self._writer.write(start + run.start, part))
            self._wrote("sent", start + run.start, run.length, run.digest)
        elif run.need is BlockAction.ZERO:
            self._writer.zero(start + run.start, run.length)
            self._wrote("zeroed", start + run.start, run.length, run.digest)
        elif self._job.target is not TargetState.BLANK:
            self._tally.add("same", run.length)

    def _zero(self, piece: Piece, theirs: bytes) -> None:
        digest = zero_digest(piece.length)
        if digest == theirs:
            self._tally.add("same", piece.length)
            return
        self._check()
        self._writer.zero(piece.start, piece.length)
        self._wrote("zeroed", piece.start, piece.length, digest)

    def _wrote(self, count: Count, start: int, length: int, digest: bytes) -> None:
        self._tally.add(count, length)
        self._journal.add(start, length, digest)


def _compared(batch: Sequence[Piece]) -> list[Range]:
    """Return which ranges a non-blank target is asked about: data by the block, zero as a whole."""
    return [
        part
        for piece in batch
        for part in (
            block_ranges(piece.start, piece.length)
            if piece.action is Action.COPY
            else [piece.range]
        )
    ]
