# SPDX-License-Identifier: Apache-2.0
"""Join a snapshot's disks to the worker's: one copy job for each."""

from collections.abc import Callable, Sequence
from functools import cache, partial

from tradewind.model.host import SshAccess, WriterAccess
from tradewind.model.machine import VirtualMachine
from tradewind.model.storage import ReplicaVolume, TargetState, Tracking
from tradewind.ports import DiskWriter, Snapshot
from tradewind.streaming import over_https, over_ssh
from tradewind.streaming.bandwidth import Bandwidth
from tradewind.streaming.copy_thread import CopyJob
from tradewind.streaming.writer import UNLIMITED


def jobs_for(
    frozen: Snapshot,
    machine: VirtualMachine,
    volumes: Sequence[ReplicaVolume],
    access: WriterAccess,
    bandwidth: Bandwidth,
) -> list[CopyJob]:
    """Make the jobs in the machine's order; every disk has its volume by its id.

    All of them together stay below the `bandwidth`.
    """
    open_writer = writers(access, bandwidth)
    targets = {volume.disk_id: volume for volume in volumes}
    return [
        CopyJob(
            disk_id=disk.id,
            capacity=disk.capacity,
            target=_state(frozen.tracking(disk), targets[disk.id]),
            extents=partial(frozen.extents, disk),
            open_reader=partial(frozen.open, disk),
            open_writer=partial(open_writer, targets[disk.id].serial),
        )
        for disk in machine.disks
    ]


def writers(access: WriterAccess, bandwidth: Bandwidth = UNLIMITED) -> Callable[[str], DiskWriter]:
    """Return how to connect to a disk of the writer service by its serial, over what carries it."""
    if isinstance(access, SshAccess):
        return partial(over_ssh.open_writer, access, bandwidth=bandwidth)
    context = cache(partial(over_https.client_context, access))
    return partial(over_https.open_writer, access, bandwidth=bandwidth, context=context)


def _state(tracking: Tracking, volume: ReplicaVolume) -> TargetState:
    """Return what a volume holds, as far as it can be relied on."""
    if volume.blank:
        return TargetState.BLANK
    if volume.exact and tracking.since == volume.base is not None:
        return TargetState.AT_CHECKPOINT
    return TargetState.UNKNOWN
