# SPDX-License-Identifier: Apache-2.0
"""One disk under way: a queue of batches, and the lanes that take from it."""

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Protocol, runtime_checkable

from tradewind.errors import CancelledError
from tradewind.streaming.distance import connections_for
from tradewind.streaming.lane import CopyJob, Lane
from tradewind.streaming.parallel import Shared
from tradewind.streaming.plan import Piece, batches, plan
from tradewind.streaming.tally import Tally


@runtime_checkable
class Interruptible(Protocol):
    """A connection whose calls can be made to return from another thread."""

    def interrupt(self) -> None:
        """Make a call that hangs return with an error."""
        ...


class DiskCopy:
    """One disk. `left` counts its batches that are not copied, `lanes` who works on them.

    Whoever sends lanes here counts them.
    """

    def __init__(self, job: CopyJob) -> None:
        self.tally = Tally(job.disk_id, job.capacity)
        self.left = 0
        self.lanes = 0
        self._job = job
        self._halted = False
        self._lock = threading.Lock()
        self._connections: list[object] = []
        self._queue: Shared[list[Piece]] = Shared(self._batches())

    def connections(self) -> int:
        """Say how many connections are worth having, by the distance of this disk's volume."""
        with closing(self._job.open_writer()) as writer:
            self._watch(writer)
            return connections_for(writer)

    def measure(self) -> None:
        """Learn how much there is to do; where that is nothing, it is done."""
        for batch in self._batches():
            self._check()
            self.left += 1
            self.tally.add("total", sum(piece.length for piece in batch))
        if not self.left:
            self.tally.begin()
            self.tally.end()

    def copy(self) -> None:
        """Work as a lane: copy what no other lane has taken, and prove what was written."""
        with self._job.open_reader() as reader, closing(self._job.open_writer()) as writer:
            self._watch(reader, writer)
            lane = Lane(self._job, reader, writer, self.tally, self._check)
            for batch in self._queue:
                lane.copy(batch)
                with self._lock:
                    self.left = max(self.left - 1, 0)
            # There may be fewer batches than were counted: a running machine's disk may be told in
            # other extents the second time. Lanes must not come back for those.
            self.left = 0
            lane.prove()

    def halt(self) -> None:
        """Make every lane end with CancelledError, one that hangs too."""
        self._halted = True
        with self._lock:
            for connection in self._connections:
                if isinstance(connection, Interruptible):
                    connection.interrupt()

    def _batches(self) -> Iterator[list[Piece]]:
        job = self._job
        return batches(plan(job.extents(), job.target, job.request_size), job.request_size)

    def _watch(self, *connections: object) -> None:
        with self._lock:
            self._connections.extend(connections)
        self._check()

    def _check(self) -> None:
        if self._halted:
            raise CancelledError(f"Disk {self._job.disk_id}: the stream was stopped")
