# SPDX-License-Identifier: Apache-2.0
"""Count what moves, from several threads."""

import threading
import time
from typing import Final, Literal

from tradewind.model.progress import DiskProgress, DiskResult

Count = Literal["total", "done", "read", "sent", "wire", "zeroed", "same", "verified"]

_NAMES: Final[tuple[Count, ...]] = (
    "total", "done", "read", "sent", "wire", "zeroed", "same", "verified",
)  # fmt: skip


class Counters:
    """One disk's counters, in bytes, and its clock, from its first thread to its last."""

    def __init__(self, disk_id: str, capacity: int) -> None:
        self._disk_id = disk_id
        self._capacity = capacity
        self._began: float | None = None
        self._ended: float | None = None
        self._lock = threading.Lock()
        self._counts: dict[Count, int] = dict.fromkeys(_NAMES, 0)

    @property
    def has_begun(self) -> bool:
        """Whether there is anything to tell."""
        return self._began is not None

    def begin(self) -> None:
        """Start the clock, or let it run on as if it had not been stopped."""
        if self._began is None:
            self._began = time.monotonic()
        self._ended = None

    def end(self) -> None:
        """Stop the clock."""
        self._ended = time.monotonic()

    def add(self, name: Count, size: int) -> None:
        """Count some bytes."""
        with self._lock:
            self._counts[name] += size

    def progress(self) -> DiskProgress:
        """Return how far the stream is."""
        with self._lock:
            counts = self._counts.copy()
        return DiskProgress(
            disk_id=self._disk_id,
            total=counts["total"],
            done=counts["done"],
            sent=counts["sent"],
            seconds=self._seconds(),
        )

    def result(self) -> DiskResult:
        """Return what the stream came to."""
        with self._lock:
            counts = self._counts.copy()
        return DiskResult(
            disk_id=self._disk_id,
            capacity=self._capacity,
            read=counts["read"],
            sent=counts["sent"],
            wire=counts["wire"],
            zeroed=counts["zeroed"],
            same=counts["same"],
            verified=counts["verified"],
            seconds=self._seconds(),
        )

    def _seconds(self) -> float:
        if self._began is None:
            return 0.0
        return (self._ended or time.monotonic()) - self._began
