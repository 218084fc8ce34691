# SPDX-License-Identifier: Apache-2.0
"""How far a replica is behind its machine."""

from datetime import datetime

from pydantic import Field

from tradewind.model.ledger import RunKind, RunState
from tradewind.model.record import Record


class TransferState(Record):
    """How current a transfer's replica is, and how its last run went."""

    machine: str = Field(description="Name of the machine, or what a stored transfer calls it.")
    source: str = Field(description="Block of the source.")
    destination: str = Field(description="Block of the destination.")
    consistent: datetime | None = Field(
        None, description="The last point in time that the replica equals; null without a replica."
    )
    run_kind: RunKind | None = Field(None, description="What the last run did.")
    run_state: RunState | None = Field(None, description="How the last run ended.")
    run_ended: datetime | None = Field(None, description="When the last run ended.")


class ReplicaState(TransferState):
    """The state of a transfer that has run: its machine is known."""

    machine_id: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Source, destination and the machine's id: what a transfer is known by."""
        return self.source, self.destination, self.machine_id


def lag(consistent: datetime | None, now: datetime) -> float | None:
    """Say how many seconds a replica is behind its machine; None when it equals no point."""
    return None if consistent is None else (now - consistent).total_seconds()


def is_late(behind: float | None, minutes: int | None) -> bool:
    """Whether a lag is past the minutes that are accepted; no replica at all is past any."""
    return minutes is not None and (behind is None or behind > minutes * 60)
