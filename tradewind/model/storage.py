# SPDX-License-Identifier: Apache-2.0
"""Volumes on the destination, what is written beside them, and extents of a disk."""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Annotated, NamedTuple

from pydantic import Field

from tradewind.model.form import Folded
from tradewind.model.record import Record


class WitnessState(StrEnum):
    """What a volume holds; a GIVEN one belongs to the machine that was deployed onto it."""

    BLANK = "blank"
    WRITING = "being written"
    COMPLETE = "complete"
    GIVEN = "given to a machine"


class Witness(Record):
    """Whose a volume is; `generation` counts the writings, and `run` is the last one's."""

    transfer: str
    pool: str
    volume: str
    generation: int
    run: str
    state: WitnessState
    at: datetime

    def __str__(self) -> str:
        """Say it in a message."""
        when = f"{self.at:%Y-%m-%d %H:%M:%S} UTC"
        return f"generation {self.generation}, {self.state}, by run {self.run} at {when}"


class ExtentKind(StrEnum):
    """What a source says of a range; CLEAN is as it was at the checkpoint that was asked about."""

    DATA = "data"
    ZERO = "zero"
    CLEAN = "clean"


class TargetState(StrEnum):
    """What a volume holds before a stream.

    BLANK reads as zero all over. AT_CHECKPOINT equals the source as of the checkpoint that its
    extents are counted from. UNKNOWN has to be compared, except where an extent is CLEAN.
    """

    BLANK = "blank"
    AT_CHECKPOINT = "at checkpoint"
    UNKNOWN = "unknown"


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
    """A volume that shall exist for one source disk; `location` is where the source keeps it."""

    disk_id: str
    volume: Volume
    location: str = ""


class RenamedDisk(Record):
    """A disk that has another name at its source now; its volume stays."""

    was: str
    disk_id: str


class ReplicaVolume(Record):
    """A volume that holds (or will hold) one source disk.

    `serial` is what the disk is called inside a worker (`/dev/disk/by-id/virtio-<serial>`), at
    most 20 characters: virtio-blk cuts longer ones. `blank` is true while nothing was ever
    written to it, so that zeroes need not be sent. `location` is where the source kept the disk
    when it was last sent: a disk is known again by it, whatever it is called. `base` names the
    checkpoint since which a clean range need not be looked at; `exact` says that the others are as
    of it, too. `sector` is the size in bytes in which the partition table on it counts, for a
    worker that has to read the table. `generation` and `writer` name the last writing, as the
    volume's witness does on its host; 0 for a volume from before there were witnesses.
    """

    disk_id: str
    volume: Volume
    serial: str
    blank: bool
    location: str = ""
    base: str | None = None
    exact: bool = False
    sector: int = 512
    generation: int = 0
    writer: str = ""


class VolumePlan(Record):
    """What volume sync will do, decided before anything is touched.

    `forget` names disks whose volume is gone, or belongs to a machine by now; `doubt` those of
    whose volume nothing is taken on trust. Both by the names they have before anything is renamed.
    """

    forget: tuple[str, ...] = ()
    doubt: tuple[str, ...] = ()
    rename: tuple[RenamedDisk, ...] = ()
    create: tuple[PlannedVolume, ...] = ()
    grow: tuple[PlannedVolume, ...] = ()
    keep: tuple[PlannedVolume, ...] = ()
    delete: tuple[PlannedVolume, ...] = ()
    notes: tuple[str, ...] = ()

    def without_idle_names(self) -> "VolumePlan":
        """Leave out the disks that are called what they were called."""
        changed = tuple(each for each in self.rename if each.was != each.disk_id)
        return self.model_copy(update={"rename": changed})


class StorageMap(Record, title="own map"):
    """Where volumes go: by disk, else by pool of the source, else the default, else the option."""

    disks: dict[str, str] = Field(
        default_factory=dict,
        title="By disk",
        description='Pool of single disks, by the names that they have on the source: {"sda": '
        '"fast"}.',
    )
    backends: dict[str, str] = Field(
        default_factory=dict,
        title="By source pool",
        description="Pool of all disks that are in a pool of the source, or in a folder of it: "
        '{"old-pool": "new-pool"}.',
    )
    default: str | None = Field(
        None,
        title="Default",
        description="Pool of all other disks. Left empty: as the provider options say.",
    )


StoragePlaces = Annotated[StorageMap, Folded("all to the default pool")]


class TrackedDisk(Record):
    """A disk whose changes are tracked: how large it was when that began, and where it was kept."""

    disk_id: str
    capacity: int
    location: str = ""


class Checkpoint(Record):
    """A point in time that a source can compare a later state with.

    `created` is seconds since the epoch. It says enough to be defined again where the source
    forgot it.
    """

    name: str
    machine_id: str
    created: int
    disks: tuple[TrackedDisk, ...] = ()

    def of(self, disk_ids: Collection[str]) -> "Checkpoint":
        """Keep only some of the disks."""
        kept = tuple(disk for disk in self.disks if disk.disk_id in disk_ids)
        return self.model_copy(update={"disks": kept})


class Tracking(Record):
    """What a snapshot knows of the changes of one disk.

    `since` names the checkpoint that its clean ranges are as of; None when all of the disk has to
    be looked at, and `reason` then says why.
    """

    disk_id: str
    since: str | None = None
    reason: str = ""
