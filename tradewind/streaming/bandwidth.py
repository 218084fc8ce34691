# SPDX-License-Identifier: Apache-2.0
"""Keep a stream below a number of bytes per second, over all of its connections."""

import threading
import time
from collections.abc import Callable
from typing import Final

from tradewind.errors import CancelledError
from tradewind.units import KiB, MiB

# Seconds until the limit is asked for again: it is a share that other streams change.
_ASK_AGAIN: Final = 3.0

# What goes out at once: little enough that a stop, and a new limit, are noticed soon.
_STEP_SECONDS: Final = 0.05
_STEP_LEAST, _STEP_MOST = 16 * KiB, 4 * MiB


class Bandwidth:
    """Bytes per second that connections share; `limit` says how many, None for no limit.

    Nothing is saved up: a stream that waited for its source gets no burst afterwards.
    """

    def __init__(self, limit: Callable[[], float | None]) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._rate: float | None = None
        self._asked = float("-inf")
        self._free_at = float("-inf")

    def step(self) -> int:
        """Return how many bytes may go at once."""
        with self._lock:
            rate = self._current()
        if rate is None:
            return _STEP_MOST
        return int(min(max(rate * _STEP_SECONDS, _STEP_LEAST), _STEP_MOST))

    def spend(self, size: int, interrupted: threading.Event) -> None:
        """Return when the bytes may go; CancelledError when `interrupted` comes first."""
        if interrupted.wait(self._turn(size)):
            raise CancelledError("The connection was interrupted")

    def _turn(self, size: int) -> float:
        """Book the bytes, and say how many seconds later their time has come."""
        with self._lock:
            rate, now = self._current(), time.monotonic()
            begins = max(self._free_at, now)
            self._free_at = begins + size / rate if rate else now
            return begins - now

    def _current(self) -> float | None:
        now = time.monotonic()
        if now - self._asked >= _ASK_AGAIN:
            self._rate, self._asked = self._limit(), now
        return self._rate


def unlimited() -> None:
    """Be the limit that is none."""
    return
