# SPDX-License-Identifier: Apache-2.0
"""An outage as the ledger remembers it: all that it takes to go on, or back."""

from datetime import datetime

from pydantic import Field

from tradewind.model.ledger import Life
from tradewind.model.machine import VirtualMachine
from tradewind.model.migrate import MigrateRequest
from tradewind.model.outage import OutageEnd, OutagePhase
from tradewind.model.record import Record
from tradewind.model.requests import ReplicaName


class NewMachine(Record):
    """The domain on the destination that an outage shall end with, and the deployment it is of."""

    run: str
    name: str
    uuid: str


class Outage(Record):
    """One outage. `machine` is the original as it was when it was asked to shut down.

    `deployment` is the run that makes the new machine, `new` that machine, once they are known.
    `driver` says what is known of the process that works on it.
    """

    id: str
    transfer: str
    source: str
    destination: str
    begun: datetime
    phase: OutagePhase
    machine: VirtualMachine
    request: MigrateRequest
    driver: Life
    deployment: str | None = None
    new: NewMachine | None = None


class MoveName(ReplicaName):
    """Which unfinished move is meant."""

    accept_edits: bool = Field(
        False,
        title="Accept edits",
        description="Go on although somebody renamed or edited the machine on its source since "
        "the outage began.",
    )


class SettledMove(Record):
    """What became of a move that was taken up again."""

    machine: str
    source: str
    destination: str
    since: datetime
    end: OutageEnd
    notes: tuple[str, ...] = ()
