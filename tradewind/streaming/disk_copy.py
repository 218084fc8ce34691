# SPDX-License-Identifier: Apache-2.0
"""One disk under way: a queue of batches for each stage, and the threads that take from it.

::

    extents ─┬─ zero, remembered ──▶ stage ROOM ──▶ zeroed, flushed, proven
             └─ all the rest ──────▶ stage REST ──▶ copied or zeroed, flushed, proven

In a pool that is full, data needs the room that zeroing gives back: an execution that had to lose
50 MiB and get 20 ran into the end of a pool of 64 MiB when its data came first. The extents are
walked once to remember what goes first, and once for the rest. The frozen disk of a running machine
may be told in other extents the second time, so no byte depends on both: what is remembered is
zeroed, and for all else the second walk counts.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from enum import Enum
from typing import Final, Protocol, runtime_checkable

from tradewind.errors import CancelledError
from tradewind.model.storage import Extent, ExtentKind, TargetState
from tradewind.streaming.copy_thread import CopyJob, CopyThread
from tradewind.streaming.counters import Counters
from tradewind.streaming.distance import connections_for
from tradewind.streaming.parallel import SharedIterator
from tradewind.streaming.plan import Piece, batches, plan, without

# Zero ranges of a disk that are remembered, 2.3 MiB; what comes after them is zeroed in its place.
_REMEMBERED: Final = 16384


class Pass(Enum):
    """What threads work on; each ends on all disks before the next one begins on any."""

    ROOM = "room"
    REST = "rest"


@runtime_checkable
class Interruptible(Protocol):
    """A connection whose calls can be made to return from another thread."""

    def interrupt(self) -> None:
        """Make a call that hangs return with an error."""
        ...


class DiskCopy:
    """One disk. `left` counts the stage's batches that are not done, `threads` who works on them.

    `is_flushed` says that what the volume holds is durable. Whoever sends threads here counts them.
    """

    def __init__(self, job: CopyJob) -> None:
        self.counters = Counters(job.disk_id, job.capacity)
        self.left = 0
        self.threads = 0
        self.is_flushed = False
        self._job = job
        self._zero: list[Extent] = []
        self._counted = dict.fromkeys(Pass, 0)
        self._queue: SharedIterator[list[Piece]] = SharedIterator([])
        self._halted = False
        self._lock = threading.Lock()
        self._connections: list[object] = []

    def connections(self) -> int:
        """Return how many connections are worth having, by the distance of this disk's volume."""
        with closing(self._job.open_writer()) as writer:
            self._watch(writer)
            return connections_for(writer)

    def measure(self) -> None:
        """Learn how much there is to do in each stage; where that is nothing, it is done."""
        self._count(Pass.REST, self._remember_zero(self._job.extents()))
        self._count(Pass.ROOM, self._zero)
        if not any(self._counted.values()):
            self.counters.begin()
            self.counters.end()

    def begin(self, stage: Pass) -> None:
        """Have the work of a stage ready for threads."""
        match stage:
            case Pass.ROOM:
                extents: Iterable[Extent] = self._zero
            case Pass.REST:
                extents = without(self._job.extents(), self._zero)
        self._queue = SharedIterator(self._batches(extents))
        self.left = self._counted[stage]

    def copy(self) -> None:
        """Work as a thread: do what no other thread has taken, and prove what was written."""
        with self._job.open_reader() as reader, closing(self._job.open_writer()) as writer:
            self._watch(reader, writer)
            copy_thread = CopyThread(self._job, reader, writer, self.counters, self._check)
            for batch in self._queue:
                copy_thread.copy(batch)
                with self._lock:
                    self.left = max(self.left - 1, 0)
            # There may be fewer batches than were counted, if the second walk told other extents.
            # Threads must not come back for those.
            self.left = 0
            copy_thread.prove()
            self.is_flushed = True

    def flush(self) -> None:
        """Make durable what the volume holds, where no thread did."""
        with closing(self._job.open_writer()) as writer:
            self._watch(writer)
            writer.flush()
            self.is_flushed = True

    def halt(self) -> None:
        """Make every thread end with CancelledError, one that hangs too."""
        self._halted = True
        with self._lock:
            for connection in self._connections:
                if isinstance(connection, Interruptible):
                    connection.interrupt()

    def _remember_zero(self, extents: Iterable[Extent]) -> Iterator[Extent]:
        """Keep what has to be zeroed, and pass on the rest."""
        is_blank = self._job.target is TargetState.BLANK
        for extent in extents:
            is_zero = extent.kind is ExtentKind.ZERO and not is_blank
            if is_zero and len(self._zero) < _REMEMBERED:
                self._zero.append(extent)
            else:
                yield extent

    def _count(self, stage: Pass, extents: Iterable[Extent]) -> None:
        for batch in self._batches(extents):
            self._check()
            self._counted[stage] += 1
            self.counters.add("total", sum(piece.length for piece in batch))

    def _batches(self, extents: Iterable[Extent]) -> Iterator[list[Piece]]:
        job = self._job
        return batches(plan(extents, job.target, job.request_size), job.request_size)

    def _watch(self, *connections: object) -> None:
        with self._lock:
            self._connections.extend(connections)
        self._check()

    def _check(self) -> None:
        if self._halted:
            raise CancelledError(f"Disk {self._job.disk_id}: the stream was stopped")
