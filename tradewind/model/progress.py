# SPDX-License-Identifier: Apache-2.0
"""How far a stream is."""

from tradewind.model.record import Record


class DiskProgress(Record):
    """One disk's stream, in bytes and seconds.

    `total` is what has to be looked at (read, zeroed or skipped by comparison), `done` how much
    of it was; `sent` was written on the destination.
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

    `read` came from the source, `sent` was written on the destination and crossed the wire as
    `wire` bytes (compressed or not, without TLS and requests), `zeroed` was zeroed by the target
    itself, `same` was proven equal and not sent, `verified` was read back on the destination and
    its digests compared.
    """

    disk_id: str
    capacity: int
    read: int
    sent: int
    # Reports from before this field were of streams without compression.
    wire: int | None = None
    zeroed: int
    same: int
    verified: int
    seconds: float

    @property
    def on_wire(self) -> int:
        """Bytes that crossed the wire for what was sent."""
        return self.sent if self.wire is None else self.wire
