# SPDX-License-Identifier: Apache-2.0
"""The records of a replica's volumes, of their clones, and what all of them are called."""

import hashlib
import re
from collections.abc import Sequence
from typing import Final

from tradewind.errors import NotFoundError
from tradewind.model.machine import VirtualMachine
from tradewind.model.run import labelled_name
from tradewind.model.storage import PlannedVolume, ReplicaVolume, Volume

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]+")


def new_replica(transfer: str, planned: PlannedVolume) -> ReplicaVolume:
    """Describe a volume that is about to be made."""
    return ReplicaVolume(
        disk_id=planned.disk_id,
        volume=planned.volume,
        serial=serial(transfer, planned.volume.name),
        blank=True,
        location=planned.location,
    )


def clone_of(run_id: str, machine: VirtualMachine, replica: ReplicaVolume) -> ReplicaVolume:
    """Describe a deployment's copy of a replica volume, labelled with the run by its name."""
    original = replica.volume
    rest = f"{safe_name(machine.name)}-{replica.disk_id}.{original.format}"
    name = labelled_name(run_id, rest)
    return for_adapting(replica, original.model_copy(update={"name": name}), machine)


def for_adapting(replica: ReplicaVolume, volume: Volume, machine: VirtualMachine) -> ReplicaVolume:
    """Describe what a worker changes instead of a replica volume, in the disk's own sectors."""
    sectors = {disk.id: disk.sector for disk in machine.disks}
    return replica.model_copy(update={"volume": volume, "sector": sectors[replica.disk_id]})


def in_machine_order(
    machine: VirtualMachine, volumes: Sequence[ReplicaVolume]
) -> tuple[ReplicaVolume, ...]:
    """Sort volumes as the machine sorts its disks; NotFoundError names a disk without one."""
    by_disk = {volume.disk_id: volume for volume in volumes}
    missing = [disk.id for disk in machine.disks if disk.id not in by_disk]
    if missing:
        raise NotFoundError(
            f"machine {machine.name} has no replica of disk {', '.join(missing)}",
            "transfer it first",
        )
    return tuple(by_disk[disk.id] for disk in machine.disks)


def volume_name(transfer: str, machine: str, disk_id: str, form: str) -> str:
    """Name a replica volume for people: machine, transfer, disk."""
    return f"{safe_name(machine)}-{transfer}-{disk_id}.{form}"


def safe_name(name: str) -> str:
    """Make a name fit for a file on any host."""
    return _UNSAFE.sub("_", name)[:80]


def serial(transfer: str, volume: str) -> str:
    """Name a volume inside a worker; virtio-blk cuts serials after 20 characters."""
    digest = hashlib.blake2s(f"{transfer}/{volume}".encode(), digest_size=8)
    return f"tw{digest.hexdigest()}"
