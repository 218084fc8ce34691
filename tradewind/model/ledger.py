# SPDX-License-Identifier: Apache-2.0
"""What the ledger remembers, as the rest of the project sees it."""

from datetime import datetime
from enum import StrEnum
from shlex import quote

from pydantic import Field

from tradewind.model.machine import VirtualMachine
from tradewind.model.record import Record
from tradewind.model.storage import Checkpoint


class RunKind(StrEnum):
    """What a run does with a transfer."""

    EXECUTION = "execution"
    DEPLOYMENT = "deployment"
    REHEARSAL = "rehearsal"
    REMOVAL = "removal"


class RunState(StrEnum):
    """How a run ended; RUNNING says nothing of whether its process still lives.

    A KEPT one failed, and its machine was left for a person to decide about.
    """

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    ABANDONED = "abandoned"
    KEPT = "kept"


class RunSummary(Record):
    """One run on a transfer, in short."""

    id: str = Field(description="What leftovers of it are known by.")
    kind: RunKind = Field(description="What it does.")
    state: RunState = Field(description="How it ended; a dead one may still be called running.")
    begun: datetime = Field(description="When it began.")
    ended: datetime | None = Field(description="When it ended.")
    host: str = Field(description="The machine that drove it.")


class Transfer(Record):
    """One machine on its way from a source to a destination, named by their blocks.

    `machine` is what the source said last. `synced` is the moment that the replica equals, None
    while it equals none; `consistent` is the last there was. `checkpoint` is what the source can
    compare a later state with.
    """

    id: str
    source: str
    destination: str
    machine: VirtualMachine
    synced: datetime | None = None
    consistent: datetime | None = None
    checkpoint: Checkpoint | None = None


class Owner(Record):
    """The process that drives a run, known so well that its death can be proven.

    `started` is the process's start in clock ticks since boot (proc(5), field 22 of stat);
    `namespace` is the inode of its PID namespace, since a container sees only its own processes.
    """

    host: str
    machine: str
    boot: str
    namespace: int
    pid: int
    started: int


class Life(StrEnum):
    """What is known of a run's owner; FINISHED when the run needs none any more.

    HELD when nobody works on it and what it made may be needed: a person has to decide.
    """

    ALIVE = "alive"
    DEAD = "dead"
    FINISHED = "finished"
    HELD = "held"
    UNKNOWN = "unknown"


class Kept(Record):
    """One kept machine: nothing of it is removed until somebody says so."""

    run: str = Field(description="The run that made it; what its volumes are named after.")
    transfer: str = Field(description="The transfer whose replica it was made from.")
    domain: str = Field(description="What the machine is called on its host.")
    destination: str = Field(description="Block of the host that has it.")
    since: datetime = Field(description="When it was found or kept.")
    why: str = Field(description="Why a person has to decide.")

    @property
    def to_keep(self) -> str:
        """The command after which it is a machine like any other."""
        return f"tradewind kept accept {self.run}"

    @property
    def to_remove(self) -> str:
        """The commands, on its host, that remove it with its disks."""
        name = quote(self.domain)
        return (
            f"virsh destroy {name}; virsh undefine {name} --nvram --tpm --remove-all-storage;"
            f" then {self.to_keep}"
        )


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

    def places(self) -> tuple[tuple[str, str, str], ...]:
        """Give the same with either word that a request may have for the machine."""
        return (self.source, self.destination, self.machine), self.place


def lag(consistent: datetime | None, now: datetime) -> float | None:
    """Return how many seconds a replica is behind its machine; None when it equals no point."""
    return None if consistent is None else (now - consistent).total_seconds()


def is_late(behind: float | None, minutes: int | None) -> bool:
    """Whether a lag is past the minutes that are accepted; no replica at all is past any."""
    return minutes is not None and (behind is None or behind > minutes * 60)
