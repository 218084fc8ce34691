# SPDX-License-Identifier: Apache-2.0
"""How far the outage of a move came, who works on it, and how it ended."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from tradewind.model.ledger import Life
from tradewind.model.record import Record


class OutagePhase(StrEnum):
    """What is certain; each is written before what follows it begins.

    From PROVEN on there is no return: the new machine is the machine.
    """

    BEGUN = "shutdown begun"
    OFF = "source shut off"
    SENT = "last changes proven"
    DEFINED = "machine defined"
    PROVEN = "new machine proven"

    @property
    def is_final(self) -> bool:
        """Whether it lies behind the point of no return."""
        return self is OutagePhase.PROVEN


class OutageEnd(StrEnum):
    """How an outage ended."""

    MOVED = "moved"
    WENT_BACK = "went back"


class OpenOutage(Record):
    """An outage that has not ended, for people and programs."""

    machine: str = Field(description="Name of the machine on its source.")
    machine_id: str = Field(description="Its id there.")
    source: str = Field(description="Block of the source.")
    destination: str = Field(description="Block of the destination.")
    since: datetime = Field(description="When the machine was asked to shut down.")
    phase: OutagePhase = Field(description="What is certain.")
    driver: Life = Field(description="What is known of the process that works on it.")
    new_machine: str | None = Field(None, description="The domain it shall end with.")

    @property
    def needs_a_decision(self) -> bool:
        """Whether nobody works on it, as far as can be told."""
        return self.driver is not Life.ALIVE

    @property
    def sentence(self) -> str:
        """Write it for a person, with what can be done."""
        since = f"{self.since.astimezone():%Y-%m-%d %H:%M}"
        said = f"outage of {self.machine} since {since}: {self.phase}; {self._where()}"
        if not self.needs_a_decision:
            return f"{said}; it is under way"
        back = "" if self.phase.is_final else f", or tradewind move rollback {self.machine}"
        return f"{said}; nobody works on it any more → tradewind move resume {self.machine}{back}"

    def _where(self) -> str:
        new = f"the new machine {self.new_machine} may run on {self.destination}"
        match self.phase:
            case OutagePhase.BEGUN:
                return f"the machine may be off on {self.source}"
            case OutagePhase.OFF | OutagePhase.SENT:
                return f"the machine is off on {self.source}"
            case OutagePhase.DEFINED:
                return f"the machine is off on {self.source}, {new}"
            case OutagePhase.PROVEN:
                return f"the new machine {self.new_machine} is in charge on {self.destination}"
