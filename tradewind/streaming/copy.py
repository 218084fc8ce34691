# SPDX-License-Identifier: Apache-2.0
"""Move disks: threads, each with its own connections and buffer, work on the disks' queues.

::

    disk ──plan──▶ batches ─┬─▶ thread        a thread that is free goes to the disk
                            └─▶ thread        with the most left to do

What has to be zero comes first, on all disks: it makes room that data may need.

Memory is threads × (request size + journal) + disks × (ranges to zero, 2.3 MiB at most), whatever
the size of the disks.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

from tradewind.model.progress import DiskProgress, DiskResult
from tradewind.ports import ProgressListener
from tradewind.streaming.copy_thread import CopyJob
from tradewind.streaming.disk_copy import DiskCopy, Pass
from tradewind.streaming.distance import NEAR
from tradewind.streaming.parallel import SharedIterator, run_all

_PROGRESS_SECONDS: Final = 0.5


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

    None: 4, or 8 when the destination is far away. Disks begin in their order, as many at a time
    as there are connections.

    Returns when everything is durable on the destination, also what was there already, and every
    range written was read back there and its digest compared. `progress` is called in the calling
    thread, twice a second for each disk under way. The first error wins and stops all disks;
    `stop`, or an exception raised into the calling thread (a signal), ends everything within about
    a second. Raises
    StreamError, WriterError, IntegrityError, CancelledError.
    """
    scheduler = _Scheduler(jobs, progress)
    if jobs:
        scheduler.copy(scheduler.prepare(connections, stop), stop)
    return scheduler.results()


class _Scheduler:
    """The threads of one call, and the disks that they work on."""

    def __init__(self, jobs: Sequence[CopyJob], progress: ProgressListener) -> None:
        self._disks = [DiskCopy(job) for job in jobs]
        self._listener = _Listener(progress)
        self._lock = threading.Lock()

    def prepare(self, connections: int | None, stop: threading.Event) -> int:
        """Learn how much there is to do, and how many connections are worth having for it."""
        found = [connections or NEAR]

        def look() -> None:
            found[0] = self._disks[0].connections()

        looks = [look] if connections is None else []
        run_all([*looks, *(disk.measure for disk in self._disks)], stop, abort=self._halt)
        return found[0]

    def copy(self, connections: int, stop: threading.Event) -> None:
        """Zero, copy, flush and prove, stage by stage."""
        for stage in Pass:
            for disk in self._disks:
                disk.begin(stage)
            self._run(connections, stop)
        self._flush(connections, stop)
        self._listener.tell(self._disks, last=True)

    def results(self) -> list[DiskResult]:
        """Return what became of each disk."""
        return [disk.counters.result() for disk in self._disks]

    def _run(self, connections: int, stop: threading.Event) -> None:
        """Work on what is ready; no more threads than there is work for."""
        first = [disk for _ in range(connections) if (disk := self._join()) is not None]
        run_all(
            [partial(self._work, disk) for disk in first],
            stop,
            abort=self._halt,
            tick=lambda: self._listener.tell(self._disks),
        )

    def _flush(self, connections: int, stop: threading.Event) -> None:
        """Flush the disks that had no thread: an earlier execution may have, and was killed."""
        waiting = SharedIterator(disk for disk in self._disks if not disk.is_flushed)

        def flush() -> None:
            for disk in waiting:
                disk.flush()

        run_all([flush] * connections, stop, abort=self._halt)

    def _work(self, disk: DiskCopy | None) -> None:
        while disk is not None:
            disk.copy()
            self._leave(disk)
            disk = self._join()

    def _join(self) -> DiskCopy | None:
        """Choose the disk for a thread that is free: one that has none, else where most is left."""
        with self._lock:
            fresh = (disk for disk in self._disks if disk.left and not disk.threads)
            most = max(self._disks, key=lambda disk: disk.left / (disk.threads + 1))
            disk = next(fresh, most)
            # Each thread there may have taken a batch that still counts.
            if disk.left <= disk.threads:
                return None
            if not disk.threads:
                disk.counters.begin()
            disk.threads += 1
            return disk

    def _leave(self, disk: DiskCopy) -> None:
        with self._lock:
            disk.threads -= 1
            if not disk.threads:
                disk.counters.end()

    def _halt(self) -> None:
        for disk in self._disks:
            disk.halt()


class _Listener:
    """Who is told of the progress, and what was told already."""

    def __init__(self, progress: ProgressListener) -> None:
        self._progress = progress
        self._last = time.monotonic()
        self._told: dict[DiskCopy, DiskProgress] = {}

    def tell(self, disks: Iterable[DiskCopy], *, last: bool = False) -> None:
        """Tell of each disk under way when it is time, and of one at rest once."""
        now = time.monotonic()
        if not last and now - self._last < _PROGRESS_SECONDS:
            return
        self._last = now
        for disk in disks:
            progress = disk.counters.progress()
            if disk.counters.has_begun and progress != self._told.get(disk):
                self._told[disk] = progress
                self._progress(progress)
