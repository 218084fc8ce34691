# SPDX-License-Identifier: Apache-2.0
"""Move disks: N lanes for each, every lane with its own reader, writer and buffer.

A lane takes batches of pieces, in order, from the disk's one plan::

    reader ──read──▶ buffer ──compare by block──▶ writer          (zero: never sent as bytes)
                                └─ digests ─▶ journal ──flush, read back──▶ proven

Memory is lanes × (request size + journal), whatever the size of the disk.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol, runtime_checkable

from tradewind.errors import CancelledError, IntegrityError
from tradewind.model.progress import DiskResult
from tradewind.model.storage import Extent, TargetState
from tradewind.ports import DiskReader, DiskWriter, ProgressListener, Range
from tradewind.streaming.blocks import Need, Run, block_ranges, runs, zero_digest
from tradewind.streaming.distance import NEAR, connections_for
from tradewind.streaming.journal import Journal, WrongRangeError
from tradewind.streaming.parallel import Shared, run_all
from tradewind.streaming.plan import REQUEST_SIZE, Action, Piece, batches, plan
from tradewind.streaming.tally import Count, Tally

# Ranges a lane writes before it proves them: at most 3 MiB of journal, and half a TiB of data.
_JOURNAL_LIMIT: Final = 65536

_PROGRESS_SECONDS: Final = 0.5


@runtime_checkable
class Interruptible(Protocol):
    """A connection whose calls can be made to return from another thread."""

    def interrupt(self) -> None:
        """Make a call that hangs return with an error."""
        ...


@dataclass(frozen=True, slots=True)
class CopyJob:
    """One disk to move; `target` says what the volume holds before.

    `extents` is walked twice: once to know the total, once to copy. Each lane opens a reader and
    a writer of its own; one that is `Interruptible` makes a stop prompt even when it hangs.
    """

    disk_id: str
    capacity: int
    target: TargetState
    extents: Callable[[], Iterable[Extent]]
    open_reader: Callable[[], AbstractContextManager[DiskReader]]
    open_writer: Callable[[], DiskWriter]
    request_size: int = REQUEST_SIZE


def copy_disk(
    job: CopyJob,
    stop: threading.Event,
    progress: ProgressListener,
    connections: int | None = None,
) -> DiskResult:
    """Move one disk; see copy_disks."""
    return copy_disks([job], stop, progress, connections)[0]


def copy_disks(
    jobs: Sequence[CopyJob],
    stop: threading.Event,
    progress: ProgressListener,
    connections: int | None = None,
) -> list[DiskResult]:
    """Move disks in parallel, over at most `connections` connections in all.

    None: 4, or 8 when the destination is far away.

    Returns when everything is durable on the destination and every range written was read back
    there and its digest compared. `progress` is called in the calling thread, twice a second for
    each disk under way. The first error wins and stops all disks; `stop`, or an exception raised
    into the calling thread (a signal), ends everything within about a second. Raises
    StreamError, WriterError, IntegrityError, CancelledError.
    """
    if connections is None:
        connections = connections_for(jobs[0].open_writer, stop) if jobs else NEAR
    crew = _Crew(jobs, progress, connections)
    run_all(crew.calls(), stop, abort=crew.halt.set, tick=crew.report)
    crew.report(last=True)
    return [crew.results[job.disk_id] for job in jobs]


class _Crew:
    """The disks of one call: as many at a time as there are connections."""

    def __init__(
        self, jobs: Sequence[CopyJob], progress: ProgressListener, connections: int
    ) -> None:
        self.halt = threading.Event()
        self.results: dict[str, DiskResult] = {}
        self._progress = progress
        self._reported = time.monotonic()
        self._tallies: dict[str, Tally] = {}
        self._places = min(max(connections, 1), len(jobs))
        share, rest = divmod(max(connections, 1), max(self._places, 1))
        self._queue = Shared((job, share + (n < rest)) for n, job in enumerate(jobs))

    def calls(self) -> list[Callable[[], None]]:
        """Give the work of one thread for each disk that moves at the same time."""
        return [self._work] * self._places

    def report(self, *, last: bool = False) -> None:
        """Tell the listener, when it is time."""
        now = time.monotonic()
        if not last and now - self._reported < _PROGRESS_SECONDS:
            return
        self._reported = now
        for disk_id, tally in list(self._tallies.items()):
            is_done = disk_id in self.results
            self._progress(tally.progress())
            if is_done:
                del self._tallies[disk_id]

    def _work(self) -> None:
        for job, lanes in self._queue:
            tally = self._tallies[job.disk_id] = Tally(job.disk_id, job.capacity)
            _DiskCopy(job, tally).run(lanes, self.halt)
            self.results[job.disk_id] = tally.result()


class _DiskCopy:
    """One disk under way."""

    def __init__(self, job: CopyJob, tally: Tally) -> None:
        self._job = job
        self._tally = tally
        self._halted = False
        self._count = 0
        self._lock = threading.Lock()
        self._connections: list[object] = []
        self._queue: Shared[list[Piece]] = Shared(self._batches())

    def run(self, lanes: int, stop: threading.Event) -> None:
        """Copy, flush and prove; no more lanes than there is work for."""
        run_all([self._measure], stop, abort=self._halt)
        run_all([self._lane] * min(lanes, self._count), stop, abort=self._halt)

    def _batches(self) -> Iterator[list[Piece]]:
        job = self._job
        return batches(plan(job.extents(), job.target, job.request_size), job.request_size)

    def _measure(self) -> None:
        for batch in self._batches():
            self._count += 1
            self._tally.add("total", sum(piece.length for piece in batch))

    def _lane(self) -> None:
        with self._job.open_reader() as reader, closing(self._job.open_writer()) as writer:
            self._watch(reader, writer)
            lane = _Lane(self._job, reader, writer, self._tally, self._check)
            for batch in self._queue:
                lane.copy(batch)
            lane.prove()

    def _watch(self, *connections: object) -> None:
        with self._lock:
            self._connections.extend(connections)
        self._check()

    def _check(self) -> None:
        if self._halted:
            raise CancelledError(f"Disk {self._job.disk_id}: the stream was stopped")

    def _halt(self) -> None:
        self._halted = True
        with self._lock:
            for connection in self._connections:
                if isinstance(connection, Interruptible):
                    connection.interrupt()


class _Lane:
    """One thread's reader, writer, buffer and journal."""

    def __init__(
        self,
        job: CopyJob,
        reader: DiskReader,
        writer: DiskWriter,
        tally: Tally,
        check: Callable[[], None],
    ) -> None:
        self._check = check
        self._job = job
        self._reader = reader
        self._writer = writer
        self._tally = tally
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
        """Flush, then read back everything this lane wrote."""
        if not self._journal:
            return
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

    def _apply(self, run: Run, view: memoryview, start: int) -> None:
        self._check()
        if run.need is Need.COPY:
            part = view[run.start : run.start + run.length]
            self._tally.add("wire", self._writer.write(start + run.start, part))
            self._wrote("sent", start + run.start, run.length, run.digest)
        elif run.need is Need.ZERO:
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
    """Say which ranges a non-blank target is asked about: data by the block, zero as a whole."""
    return [
        part
        for piece in batch
        for part in (
            block_ranges(piece.start, piece.length)
            if piece.action is Action.COPY
            else [piece.range]
        )
    ]
