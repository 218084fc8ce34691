# SPDX-License-Identifier: Apache-2.0
"""A group of machines that are replicated together, and what that came to."""

from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tradewind.model.machine import MachineSummary
from tradewind.model.option_types import Text
from tradewind.model.options import OptionOverrides, Overrides
from tradewind.model.record import Record
from tradewind.model.requests import SourceKind, TransferRequest
from tradewind.model.storage import StorageMap, StoragePlaces


class MachineSelection(Record):
    """Which machines of a source are meant: every one that a name, a pattern or a tag fits."""

    names: tuple[str, ...] = Field((), title="Names", description="Names or UUIDs of machines.")
    patterns: tuple[str, ...] = Field(
        (), title="Patterns", description="Names with * and ?, as a shell takes them: web-*."
    )
    tags: tuple[str, ...] = Field(
        (), title="Tags", description="Tags in the machines' metadata on the source."
    )

    @model_validator(mode="after")
    def _selects_something(self) -> Self:
        if not (self.names or self.patterns or self.tags):
            raise PydanticCustomError("nothing", "no machines: give names, patterns or tags")
        return self

    def __str__(self) -> str:
        parts = {"name": self.names, "pattern": self.patterns, "tag": self.tags}
        return ", ".join(f"{word} “{each}”" for word, all_ in parts.items() for each in all_)


class GroupRequest(Record):
    """Bring the replicas of several machines of one source up to date."""

    machines: MachineSelection = Field(
        title="Machines", description="Every machine that a name, a pattern or a tag fits."
    )
    source: Text = Field(
        title="Source",
        description="Where the machines are: name of a block “Tradewind Libvirt Endpoint”, or of a "
        "block “Tradewind Disk Images”.",
    )
    source_kind: SourceKind = Field(
        SourceKind.LIBVIRT,
        title="Kind of source",
        description="What Source is the name of: a libvirt host, or a folder of disk images.",
    )
    destination: Text = Field(
        title="Destination host",
        description="Which host receives them: name of a block “Tradewind Libvirt Endpoint”.",
    )
    options: Text = Field(
        "default",
        title="Provider options",
        description="Name of a block “Tradewind Provider Options”.",
    )
    overrides: Overrides = Field(
        default_factory=OptionOverrides,
        title="Overrides",
        description="Options that differ for these machines.",
    )
    storage_map: StoragePlaces = Field(
        default_factory=StorageMap,
        title="Storage map",
        description="Which pool receives which disk; what is not mapped goes to the default pool.",
    )
    track_changes: bool = Field(
        True,
        title="Track changes",
        description="Keep checkpoints on the source, so that only what changed is read.",
    )
    bandwidth_limit: int | None = Field(
        None,
        ge=1,
        title="Bandwidth limit",
        description="Limit of each transfer in Mbit/s. Left empty: only the source's limit.",
    )
    limit: int = Field(2, ge=1, title="At a time", description="How many machines at a time.")
    lag_warning: int | None = Field(
        None,
        ge=1,
        title="Lag that is too long",
        description="Lag in minutes after which a replica counts as late. Left empty: never.",
    )

    def transfer_of(self, machine: MachineSummary) -> TransferRequest:
        """Ask for one machine; the group looks after the lag."""
        shared = set(TransferRequest.model_fields) & set(type(self).model_fields) - {"lag_warning"}
        # A description of disk images is found by its file's name, a domain by its own.
        by_id = self.source_kind is SourceKind.IMAGES
        asked = {name: getattr(self, name) for name in shared}
        return TransferRequest(machine=machine.id if by_id else machine.name, **asked)


class MachineState(StrEnum):
    """How a machine's flow run ended."""

    UP_TO_DATE = "up to date"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CRASHED = "crashed"


class MachineOutcome(Record):
    """One line of a group's report: `sent` is bytes, `seconds` how long the flow run took.

    `consistent` is the point in time that the replica equals, when it equals any.
    """

    machine: str
    state: MachineState
    flow_run: str
    sent: int | None = None
    seconds: float
    consistent: datetime | None = None
    problem: str = ""


class GroupReport(Record):
    """What became of each machine; `lag_warning` is minutes, `ended` the moment of the lags."""

    source: str
    destination: str
    ended: datetime
    seconds: float
    outcomes: tuple[MachineOutcome, ...]
    lag_warning: int | None = None

    @property
    def unfinished(self) -> tuple[MachineOutcome, ...]:
        """The machines whose replica was not brought up to date."""
        return tuple(each for each in self.outcomes if each.state is not MachineState.UP_TO_DATE)

    def headline(self) -> str:
        """Say in a sentence how many of the machines are up to date, and which are not."""
        good = len(self.outcomes) - len(self.unfinished)
        said = f"{good} of {len(self.outcomes)} machines are up to date"
        others = ", ".join(f"{each.machine} ({each.state})" for each in self.unfinished)
        return f"{said}; not {others}" if others else said
