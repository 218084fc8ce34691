# SPDX-License-Identifier: Apache-2.0
"""Join a snapshot's disks to the worker's: one copy job for each."""

from collections.abc import Sequence
from functools import partial

from tradewind.model.machine import VirtualMachine
from tradewind.model.storage import ReplicaVolume
from tradewind.model.worker import WriterAccess
from tradewind.ports import Snapshot
from tradewind.streaming.copy import CopyJob
from tradewind.streaming.https_writer import open_writer


def jobs_for(
    frozen: Snapshot,
    machine: VirtualMachine,
    volumes: Sequence[ReplicaVolume],
    access: WriterAccess,
) -> list[CopyJob]:
    """Make the jobs in the machine's order; every disk has its volume by its id."""
    targets = {volume.disk_id: volume for volume in volumes}
    return [
        CopyJob(
            disk_id=disk.id,
            capacity=disk.capacity,
            blank=targets[disk.id].blank,
            extents=partial(frozen.extents, disk),
            open_reader=partial(frozen.open, disk),
            open_writer=partial(open_writer, access, targets[disk.id].serial),
        )
        for disk in machine.disks
    ]
