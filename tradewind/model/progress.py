# SPDX-License-Identifier: Apache-2.0
"""How far a stream is."""

from tradewind.model.record import Record


class DiskProgress(Record):
    """One disk's stream, in bytes and seconds.

    `total` is what has to be looked at (read, zeroed or skipped by comparison), `done` how much
    of it was; `sent` crossed the wire.
    """

    disk_id: str
    total: int
    done: int
    sent: int
    seconds: float

    @property
    def rate(self) -> float:
        """Bytes done per second."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds until done at this rate; None while nothing is known."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None


class DiskResult(Record):
    """What moving one disk came to; all sizes in bytes.

    `read` came from the source, `sent` crossed the wire, `zeroed` was zeroed by the target
    itself, `same` was proven equal and not sent, `verified` was read back on the destination
    and its digests compared.
    """

    disk_id: str
    capacity: int
    read: int
    sent: int
    zeroed: int
    same: int
    verified: int
    seconds: float
