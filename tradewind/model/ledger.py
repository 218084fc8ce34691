# SPDX-License-Identifier: Apache-2.0
"""What the ledger remembers, as the rest of the project sees it."""

from datetime import datetime
from enum import StrEnum

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
