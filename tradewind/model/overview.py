# SPDX-License-Identifier: Apache-2.0
"""A source's machines as a person looks at them who is about to choose some."""

from collections.abc import Callable
from typing import Self

from pydantic import Field

from tradewind.errors import TradewindError
from tradewind.model.machine import Disk, FirmwareKind, MachineSummary, PowerState, VirtualMachine
from tradewind.model.record import Record


class DiskOverview(Record):
    """One disk of a machine."""

    id: str = Field(description="What the disk is called within its machine.")
    capacity: int = Field(description="Its size in bytes.")
    untracked: str = Field(
        description="Why its changes cannot be tracked, so that each execution reads all of it;"
        " empty where they can."
    )


class MachineOverview(Record):
    """One machine of a source; of one that cannot be moved as it is, `problem` says why."""

    name: str = Field(description="Its name on the source.")
    id: str = Field(description="Its UUID; of disk images, the name of their description.")
    state: PowerState = Field(description="Whether it runs.")
    tags: tuple[str, ...] = Field((), description="What it bears to be chosen by.")
    firmware: FirmwareKind | None = Field(None, description="How it starts.")
    disks: tuple[DiskOverview, ...] = Field((), description="Its disks, in its own order.")
    problem: str = Field("", description="Why it cannot be moved as it is; empty when it can.")

    @classmethod
    def of(
        cls,
        summary: MachineSummary,
        inspect: Callable[[], VirtualMachine],
        untracked: Callable[[Disk], str],
    ) -> Self:
        """Look at a machine; one that cannot be inspected keeps no other from being listed."""
        known = {
            "name": summary.name, "id": summary.id, "state": summary.power, "tags": summary.tags,
        }  # fmt: skip
        try:
            machine = inspect()
        except TradewindError as error:
            return cls.model_validate({**known, "problem": error.message})
        disks = tuple(
            DiskOverview(id=disk.id, capacity=disk.capacity, untracked=untracked(disk))
            for disk in machine.disks
        )
        return cls.model_validate({**known, "firmware": machine.firmware.kind, "disks": disks})

    @property
    def capacity(self) -> int:
        """Bytes of all disks together."""
        return sum(disk.capacity for disk in self.disks)

    @property
    def tracked(self) -> str:
        """Say for how many of the disks changes can be tracked: all, none, or which."""
        told = [disk.id for disk in self.disks if not disk.untracked]
        if len(told) == len(self.disks):
            return "all disks" if told else "–"
        return ", ".join(told) or "no disk"
