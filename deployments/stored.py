# SPDX-License-Identifier: Apache-2.0
"""What is stored under a name: a transfer of one machine, or of a group. Knows no Prefect."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from tradewind.model.ledger import ReplicaState
from tradewind.model.record import Record
from tradewind.model.requests import TransferRequest


class Stored(Record):
    """A stored transfer or group, with or without a schedule."""

    name: str = Field(description="What it is called.")
    flow: str = Field(description="`transfer` for one machine, `replicate` for a group.")
    when: str = Field(description="When it comes due; empty without a schedule.")
    paused: bool = Field(description="Whether its schedule is paused.")
    next_run: datetime | None = Field(description="When it comes due next, if that is planned.")
    request: dict[str, Any] = Field(description="What it asks for: the flow's parameter `request`.")
    id: UUID = Field(description="Of its deployment in Prefect.")

    @property
    def is_transfer(self) -> bool:
        """Whether it is for one machine."""
        return self.flow == "transfer"

    @property
    def transfer(self) -> TransferRequest:
        """What a transfer of one machine asks for."""
        return TransferRequest.model_validate(self.request)

    def blocks(self) -> tuple[str, ...]:
        """Name the blocks of its source and its destination."""
        return tuple(str(self.request.get(end)) for end in ("source", "destination"))

    def place(self) -> tuple[object, ...]:
        """Give source, destination and what it calls its machine; a group names none."""
        return tuple(self.request.get(part) for part in ("source", "destination", "machine"))

    def is_of(self, replica: ReplicaState) -> bool:
        """Whether it is for the machine of this replica itself, and not for a group."""
        return self.place() in replica.places()
