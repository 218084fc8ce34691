# SPDX-License-Identifier: Apache-2.0
"""How a source is treated, and what it can say of a machine before it is read."""

from enum import StrEnum
from typing import Final

from pydantic import Field

from tradewind.errors import BadInputError, BusyError
from tradewind.model.finding import Finding, error, note, warning
from tradewind.model.record import Record
from tradewind.units import GiB

FREEZE_TIMEOUT: Final = 30
RESERVE: Final = 2 * GiB
RESERVE_PERCENT: Final = 2


class BackupTransport(StrEnum):
    """How QEMU serves what is read of a machine, on its host: see `sources/serving.py`."""

    UNIX = "unix"
    TCP = "tcp"


class SourceCare(Record):
    """How a source is treated; sizes are bytes.

    While a running machine is read, what its guest overwrites is kept in scratch files: in the
    storage pool `scratch_pool`, else beside each disk. The snapshot is given up when their file
    system has no more free than `scratch_reserve`, or that many percent of it: the larger counts.
    A guest agent may take `freeze_timeout` seconds to freeze its file systems.
    """

    backup_transport: BackupTransport = BackupTransport.UNIX

    scratch_pool: str | None = None
    scratch_reserve: int = Field(RESERVE, ge=0)
    scratch_reserve_percent: int = Field(RESERVE_PERCENT, ge=0, le=90)
    freeze_timeout: int = Field(FREEZE_TIMEOUT, ge=1, le=3600)

    def reserve_of(self, size: int) -> int:
        """Return how many bytes of a file system of this size stay free."""
        return max(self.scratch_reserve, size * self.scratch_reserve_percent // 100)


DEFAULT_CARE: Final = SourceCare()


class GuestSpace(Record):
    """What is free in a mounted file system of a running guest; `free` is bytes."""

    path: str
    free: int


class GuestSeen(Record):
    """The operating system, as far as it can be known from outside; all may be empty.

    `os` is an id as os-release(5) and libosinfo write it ("debian", "win10", a libosinfo URL).
    """

    os: str = ""
    spaces: tuple[GuestSpace, ...] = ()


class SourceFindings(Record):
    """What would keep the machine from being read, and what runs in it."""

    findings: tuple[Finding, ...] = ()
    guest: GuestSeen = GuestSeen()


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
