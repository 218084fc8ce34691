# SPDX-License-Identifier: Apache-2.0
"""Volume sync: one volume per source disk, exactly its size. A pure plan, then its steps."""

import hashlib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import libvirt

from tradewind.errors import CapacityError, NotFoundError, OptionError
from tradewind.host import storage
from tradewind.model.machine import Disk, VirtualMachine
from tradewind.model.storage import (
    PlannedVolume,
    ReplicaVolume,
    StorageMap,
    Volume,
    VolumePlan,
)
from tradewind.units import human_size

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]+")


def pool_for(disk: Disk, mapping: StorageMap, default: str | None) -> str:
    """Choose a disk's pool: per disk, per source backend, the map's default, the option's."""
    pool = mapping.disks.get(disk.id) or mapping.backends.get(disk.backend)
    pool = pool or mapping.default or default
    if not pool:
        raise OptionError(
            f"no storage pool is chosen for disk {disk.id} ({disk.location})",
            "set default_storage_pool in the provider options, or map the disk (storage_map)",
        )
    return pool


def plan_volumes(
    transfer: str,
    machine: VirtualMachine,
    known: Sequence[ReplicaVolume],
    place: Callable[[Disk], tuple[str, str]],
) -> VolumePlan:
    """Compare the machine's disks with the volumes it has; raises before anything is touched.

    `known` are the volumes that exist on the host; `place` gives pool and format of a new one.
    """
    there = {volume.disk_id: volume.volume for volume in known}
    disks = {disk.id for disk in machine.disks}
    wanted = [_wanted(transfer, machine, disk, there, place) for disk in machine.disks]
    gone = [
        PlannedVolume(disk_id=known_id, volume=volume)
        for known_id, volume in there.items()
        if known_id not in disks
    ]
    return VolumePlan(
        create=tuple(new for new in wanted if new.disk_id not in there),
        grow=tuple(w for w in wanted if _grows(w, there)),
        keep=tuple(w for w in wanted if w.disk_id in there and not _grows(w, there)),
        delete=tuple(gone),
    )


def _grows(wanted: PlannedVolume, there: dict[str, Volume]) -> bool:
    known = there.get(wanted.disk_id)
    return known is not None and wanted.volume.capacity > known.capacity


def _wanted(
    transfer: str,
    machine: VirtualMachine,
    disk: Disk,
    there: dict[str, Volume],
    place: Callable[[Disk], tuple[str, str]],
) -> PlannedVolume:
    known = there.get(disk.id)
    if known is None:
        pool, form = place(disk)
        name = volume_name(transfer, machine.name, disk.id, form)
        new = Volume(pool=pool, name=name, capacity=disk.capacity, format=form)
        return PlannedVolume(disk_id=disk.id, volume=new)
    if disk.capacity < known.capacity:
        raise CapacityError(
            f"disk {disk.id} of {machine.name} shrank from {human_size(known.capacity)} to"
            f" {human_size(disk.capacity)}; its replica was not touched",
            "make the disk as large as it was; a replica of the smaller one needs a new transfer,"
            " from a source block of another name",
        )
    grown = known.model_copy(update={"capacity": disk.capacity})
    return PlannedVolume(disk_id=disk.id, volume=grown)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where new volumes go: the request's map, and the options' default pool."""

    mapping: StorageMap
    default: str | None


def plan_on_host(
    connection: libvirt.virConnect,
    transfer: str,
    machine: VirtualMachine,
    known: Sequence[ReplicaVolume],
    placement: Placement,
) -> VolumePlan:
    """Plan with the pools and volumes that the host has now; refuses what cannot fit."""

    def place(disk: Disk) -> tuple[str, str]:
        pool = pool_for(disk, placement.mapping, placement.default)
        return pool, storage.volume_format(connection, pool)

    there = existing(connection, known)
    plan = plan_volumes(transfer, machine, there, place)
    notes = require_room(connection, machine, plan)
    return plan.model_copy(update={"notes": notes})


def new_replica(transfer: str, planned: PlannedVolume) -> ReplicaVolume:
    """Describe a volume that is about to be made."""
    return ReplicaVolume(
        disk_id=planned.disk_id,
        volume=planned.volume,
        serial=serial(transfer, planned.disk_id),
        blank=True,
    )


def clone_of(run_id: str, machine: VirtualMachine, replica: ReplicaVolume) -> ReplicaVolume:
    """Describe a deployment's copy of a replica volume, labelled with the run by its name."""
    original = replica.volume
    name = f"tradewind-{run_id}-{safe_name(machine.name)}-{replica.disk_id}.{original.format}"
    return replica.model_copy(update={"volume": original.model_copy(update={"name": name})})


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


def serial(transfer: str, disk_id: str) -> str:
    """Name a disk inside a worker; virtio-blk cuts serials after 20 characters."""
    digest = hashlib.blake2s(f"{transfer}/{disk_id}".encode(), digest_size=8)
    return f"tw{digest.hexdigest()}"


def existing(
    connection: libvirt.virConnect, known: Collection[ReplicaVolume]
) -> list[ReplicaVolume]:
    """Leave out the volumes that somebody removed behind our back."""
    return [
        replica
        for replica in known
        if storage.find_volume(connection, replica.volume.pool, replica.volume.name) is not None
    ]


def require_room(
    connection: libvirt.virConnect, machine: VirtualMachine, plan: VolumePlan
) -> tuple[str, ...]:
    """Raise CapacityError when a pool cannot hold what the source really stores.

    Returns a sentence for each pool that could overflow once the disks fill up: volumes are
    thin, so that is no error today.
    """
    disks = {disk.id: disk for disk in machine.disks}
    stored: dict[str, int] = {}
    capacity: dict[str, int] = {}
    for planned in plan.create:
        disk, pool = disks[planned.disk_id], planned.volume.pool
        size = disk.capacity if disk.allocation is None else disk.allocation
        stored[pool] = stored.get(pool, 0) + min(size, disk.capacity)
        capacity[pool] = capacity.get(pool, 0) + disk.capacity
    for pool, needed in stored.items():
        storage.require_room(connection, pool, needed, f"machine {machine.name}")
    return tuple(
        f"pool {pool} is overcommitted: its new volumes may grow to {human_size(size)},"
        f" {human_size(storage.available(connection, pool))} are free"
        for pool, size in capacity.items()
        if size > storage.available(connection, pool)
    )
