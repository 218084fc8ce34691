# SPDX-License-Identifier: Apache-2.0
"""How far a replica is behind its machine."""

from datetime import datetime

from tradewind.model.ledger import RunKind, RunState
from tradewind.model.record import Record


class ReplicaState(Record):
    """One replica, and the last run that worked on it.

    `consistent` is the last point in time that it equals; None while it equals none.
    """

    machine: str
    machine_id: str
    source: str
    destination: str
    consistent: datetime | None = None
    run_kind: RunKind | None = None
    run_state: RunState | None = None
    run_ended: datetime | None = None

    @property
    def place(self) -> tuple[str, str, str]:
        """Source, destination and the machine's id: what a transfer is known by."""
        return self.source, self.destination, self.machine_id

    def places(self) -> tuple[tuple[str, str, str], ...]:
        """Give the same with either word that a request may have for the machine."""
        return (self.source, self.destination, self.machine), self.place


class PastRun(Record):
    """A run that worked on a replica, and how it ended; RUNNING until it has."""

    id: str
    kind: RunKind
    state: RunState
    begun: datetime
    ended: datetime | None = None


def lag(consistent: datetime | None, now: datetime) -> float | None:
    """Say how many seconds a replica is behind its machine; None when it equals no point."""
    return None if consistent is None else (now - consistent).total_seconds()


def is_late(behind: float | None, minutes: int | None) -> bool:
    """Whether a lag is past the minutes that are accepted; no replica at all is past any."""
    return minutes is not None and (behind is None or behind > minutes * 60)
