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


class Tally:
    """One disk's counters, in bytes, since its stream began."""

    def __init__(self, disk_id: str, capacity: int) -> None:
        self._disk_id = disk_id
        self._capacity = capacity
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._counts: dict[Count, int] = dict.fromkeys(_NAMES, 0)

    def add(self, name: Count, size: int) -> None:
        """Count some bytes."""
        with self._lock:
            self._counts[name] += size

    def progress(self) -> DiskProgress:
        """Say how far the stream is."""
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
        """Say what the stream came to."""
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
        return time.monotonic() - self._started
