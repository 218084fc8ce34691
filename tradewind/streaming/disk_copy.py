# SPDX-License-Identifier: Apache-2.0
"""One disk under way: its queues of batches, and the lanes that take from them.

::

    ranges to zero ──all lanes──▶ flushed, proven ──then──▶ data ──all lanes──▶ flushed, proven

In a pool that is nearly full, data may need the room that zeroing gives back. When both went in the
disk's order, it was up to the lanes' speed whether tests/live/test_volume_sync.py had enough.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Protocol, runtime_checkable

from tradewind.errors import CancelledError
from tradewind.streaming.distance import connections_for
from tradewind.streaming.lane import CopyJob, Lane
from tradewind.streaming.parallel import Shared
from tradewind.streaming.plan import Action, Piece, batches, plan
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
        self._zeroes = Shared(self._batches(Action.ZERO))
        self._data = Shared(self._batches(Action.COPY))
        self._to_zero = 0
        self._has_room = threading.Event()

    def connections(self) -> int:
        """Say how many connections are worth having, by the distance of this disk's volume."""
        with closing(self._job.open_writer()) as writer:
            self._watch(writer)
            return connections_for(writer)

    def measure(self) -> None:
        """Learn how much there is to do; where that is nothing, it is done."""
        for batch in self._all_batches():
            self._check()
            self.left += 1
            self._to_zero += batch[0].action is Action.ZERO
            self.tally.add("total", sum(piece.length for piece in batch))
        if not self._to_zero:
            self._has_room.set()
        if not self.left:
            self.tally.begin()
            self.tally.end()

    def copy(self) -> None:
        """Work as a lane: copy what no other lane has taken, and prove what was written."""
        with self._job.open_reader() as reader, closing(self._job.open_writer()) as writer:
            self._watch(reader, writer)
            lane = Lane(self._job, reader, writer, self.tally, self._check)
            self._make_room(lane)
            self._take(self._data, lane)
            lane.prove()

    def halt(self) -> None:
        """Make every lane end with CancelledError, one that hangs too."""
        self._halted = True
        self._has_room.set()
        with self._lock:
            for connection in self._connections:
                if isinstance(connection, Interruptible):
                    connection.interrupt()

    def _make_room(self, lane: Lane) -> None:
        """Return when everything that has to be zero is, on every lane."""
        if not self._has_room.is_set():
            zeroed = self._take(self._zeroes, lane)
            lane.prove()
            with self._lock:
                self._to_zero -= zeroed
                if not self._to_zero:
                    self._has_room.set()
            self._has_room.wait()
        self._check()

    def _take(self, queue: Iterable[Sequence[Piece]], lane: Lane) -> int:
        """Copy what no other lane has taken; say how many batches that were."""
        taken = 0
        for batch in queue:
            lane.copy(batch)
            taken += 1
            with self._lock:
                self.left -= 1
        return taken

    def _batches(self, action: Action) -> Iterator[list[Piece]]:
        for batch in self._all_batches():
            if batch[0].action is action:
                yield batch

    def _all_batches(self) -> Iterator[list[Piece]]:
        job = self._job
        return batches(plan(job.extents(), job.target, job.request_size), job.request_size)

    def _watch(self, *connections: object) -> None:
        with self._lock:
            self._connections.extend(connections)
        self._check()

    def _check(self) -> None:
        if self._halted:
            raise CancelledError(f"Disk {self._job.disk_id}: the stream was stopped")
