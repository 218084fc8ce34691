# SPDX-License-Identifier: Apache-2.0
"""What a machine on its source is in, that its disks do not show."""

from enum import StrEnum

from tradewind.errors import BadInputError, BusyError
from tradewind.model.finding import Finding, error, note, warning
from tradewind.model.record import Record


class BlockedWork(StrEnum):
    """What is not done with a machine that is in a state."""

    NOTHING = "nothing"
    MOVE = "a move"
    TRANSFER = "a transfer and a move"


class SourceState(Record):
    """One state of a machine: a sentence that names it, what helps, and what shows it.

    One that `passes` is over by itself some time: a job, a shutdown.
    """

    what: str
    remedy: str
    evidence: str
    stops: BlockedWork = BlockedWork.NOTHING
    passes: bool = False

    def error(self) -> BadInputError:
        """Say that something is not done because of it."""
        kind = BusyError if self.passes else BadInputError
        return kind(self.what, self.remedy, evidence=self.evidence)

    def finding(self) -> Finding:
        """Say it before anything is done."""
        match self.stops:
            case BlockedWork.TRANSFER:
                return error(self.what, self.remedy, self.evidence)
            case BlockedWork.MOVE:
                what = f"{self.what}. It can be replicated, but a move refuses it"
                return warning(what, self.remedy, self.evidence)
            case BlockedWork.NOTHING:
                return note(self.what, self.remedy, self.evidence)
