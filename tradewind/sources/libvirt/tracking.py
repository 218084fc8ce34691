# SPDX-License-Identifier: Apache-2.0
"""Which disks of a libvirt machine are read by what changed, and why the others are not. Pure."""

from collections.abc import Sequence
from typing import Final

from tradewind.domainxml.backup import BackupDisk
from tradewind.host.domain.backup import NO_BITMAPS, OLD_IMAGE
from tradewind.model.machine import Disk, VirtualMachine
from tradewind.model.storage import Checkpoint, TrackedDisk, Tracking
from tradewind.units import human_size

_NO_EXTENSIONS: Final = 2
READ_ONLY: Final = "it is read-only, so that no dirty bitmap can be written into its image"
SWITCHED_OFF: Final = "tracking changes is switched off"
NO_CHECKPOINT: Final = "there is no checkpoint yet that its changes could be counted from"
NOT_COVERED: Final = "the last checkpoint does not cover it"
MOVED: Final = "the source keeps it in another place than at the last execution"


def backup_disk(disk: Disk, scratch: str, since: Checkpoint | None, *, track: bool) -> BackupDisk:
    """Decide how one disk is read, and whether a new checkpoint covers it."""
    why = _why_in_full(disk, since, track=track)
    return BackupDisk(
        target=disk.id,
        scratch=scratch,
        since=since.name if since and not why else None,
        tracked=track and not no_bitmaps(disk),
        why=why,
    )


def no_bitmaps(disk: Disk) -> str:
    """Return why changes of this disk cannot be tracked; "" where they can."""
    if disk.format != "qcow2":
        return f"{NO_BITMAPS} ({disk.format})"
    if disk.version == _NO_EXTENSIONS:
        return OLD_IMAGE
    return READ_ONLY if disk.read_only else ""


def _why_in_full(disk: Disk, since: Checkpoint | None, *, track: bool) -> str:
    if why := no_bitmaps(disk):
        return why
    if not track:
        return SWITCHED_OFF
    if since is None:
        return NO_CHECKPOINT
    before = next((each for each in since.disks if each.disk_id == disk.id), None)
    return NOT_COVERED if before is None else _what_changed_about(disk, before)


def _what_changed_about(disk: Disk, before: TrackedDisk) -> str:
    # Another image has bitmaps of the same name: what they say is about that image.
    if disk.location != before.location:
        return MOVED
    if disk.capacity != before.capacity:
        sizes = f"{human_size(before.capacity)} to {human_size(disk.capacity)}"
        return f"it was resized from {sizes}"
    return ""


def tracking_of(disks: Sequence[BackupDisk]) -> tuple[Tracking, ...]:
    """Say of each disk how it is really read."""
    return tuple(
        Tracking(disk_id=disk.target, since=disk.since, reason="" if disk.since else disk.why)
        for disk in disks
    )


def new_checkpoint(
    name: str, created: int, machine: VirtualMachine, disks: Sequence[BackupDisk]
) -> Checkpoint | None:
    """Describe the checkpoint that was made; None when it covers no disk."""
    tracked = {disk.target for disk in disks if disk.tracked}
    covered = tuple(
        TrackedDisk(disk_id=disk.id, capacity=disk.capacity, location=disk.location)
        for disk in machine.disks
        if disk.id in tracked
    )
    if not covered:
        return None
    return Checkpoint(name=name, machine_id=machine.id, created=created, disks=covered)
