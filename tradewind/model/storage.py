# SPDX-License-Identifier: Apache-2.0
"""Volumes on the destination, extents of a disk, and what a plan does with them."""

from enum import StrEnum
from typing import NamedTuple

from pydantic import Field

from tradewind.model.record import Record


class ExtentKind(StrEnum):
    """What a source says of a range."""

    DATA = "data"
    ZERO = "zero"


class Extent(NamedTuple):
    """A range of a disk in bytes, and what the source says of it."""

    start: int
    length: int
    kind: ExtentKind

    @property
    def end(self) -> int:
        """The first byte after the range."""
        return self.start + self.length


class Volume(Record):
    """A volume on the destination host; `capacity` is bytes as the guest sees them."""

    pool: str
    name: str
    capacity: int
    format: str


class PlannedVolume(Record):
    """A volume that shall exist for one source disk."""

    disk_id: str
    volume: Volume


class ReplicaVolume(Record):
    """A volume that holds (or will hold) one source disk.

    `serial` is what the disk is called inside a worker (`/dev/disk/by-id/virtio-<serial>`), at
    most 20 characters: virtio-blk cuts longer ones. `blank` is true while nothing was ever
    written to it, so that zeroes need not be sent.
    """

    disk_id: str
    volume: Volume
    serial: str
    blank: bool


class VolumePlan(Record):
    """What volume sync will do, decided before anything is touched."""

    create: tuple[PlannedVolume, ...] = ()
    grow: tuple[PlannedVolume, ...] = ()
    keep: tuple[PlannedVolume, ...] = ()
    delete: tuple[PlannedVolume, ...] = ()
    notes: tuple[str, ...] = ()


class StorageMap(Record):
    """Where volumes go: per disk, else per source backend, else the default, else the option."""

    disks: dict[str, str] = Field(default_factory=dict)
    backends: dict[str, str] = Field(default_factory=dict)
    default: str | None = None


class NetworkMap(Record):
    """Which libvirt network on the destination each source network becomes."""

    networks: dict[str, str] = Field(default_factory=dict)
    default: str | None = None


class Checkpoint(Record):
    """A point in time that a source can compare a later state with."""

    name: str
    machine_id: str
