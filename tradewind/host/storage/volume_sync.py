# SPDX-License-Identifier: Apache-2.0
"""Volume sync: one volume per source disk, exactly its size. A pure plan, then its steps."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import libvirt

from tradewind.errors import CapacityError, NotFoundError, OptionError
from tradewind.host.storage import naming, pools, sizes, volumes, witness
from tradewind.host.storage.room import require_room
from tradewind.model.finding import Finding, warning
from tradewind.model.machine import Disk, VirtualMachine
from tradewind.model.storage import (
    PlannedVolume,
    RenamedDisk,
    ReplicaVolume,
    StorageMap,
    Volume,
    VolumePlan,
)
from tradewind.units import human_size

_LONGEST: Final = 64


def mapped_pool(disk: Disk, mapping: StorageMap) -> str | None:
    """Choose a disk's pool as the map says: per disk, per source backend, the map's default."""
    pool = mapping.disks.get(disk.id) or mapping.backends.get(disk.backend)
    return pool or mapping.default


def pool_for(disk: Disk, mapping: StorageMap, default: str | None) -> str:
    """Choose a disk's pool: per disk, per source backend, the map's default, the option's."""
    pool = mapped_pool(disk, mapping) or default
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
    is_taken: Callable[[str, str], bool] = lambda _pool, _name: False,
) -> VolumePlan:
    """Compare the machine's disks with the volumes it has; raises before anything is touched.

    `known` are the volumes that exist on the host; `place` gives pool and format of a new one;
    `is_taken` says of a pool and a name whether another volume is called so.
    """
    homes = _homes(machine, known)
    names = {replica.volume.name for replica in known}

    def is_free(pool: str, name: str) -> bool:
        return name not in names and not is_taken(pool, name)

    kept = [_kept(machine, disk, homes[disk.id]) for disk in machine.disks if disk.id in homes]
    gone = [replica for replica in known if replica not in homes.values()]
    leaving = {replica.disk_id: _leaving(machine, replica) for replica in gone}
    return VolumePlan(
        rename=(
            *(_renamed(replica.disk_id, disk) for disk, replica in homes.items()),
            *(_renamed(was, now) for was, now in leaving.items()),
        ),
        create=tuple(
            _new(transfer, machine, disk, place, is_free)
            for disk in machine.disks
            if disk.id not in homes
        ),
        grow=tuple(each for each in kept if _grows(each, homes)),
        keep=tuple(each for each in kept if not _grows(each, homes)),
        delete=tuple(
            PlannedVolume(disk_id=leaving[replica.disk_id], volume=replica.volume)
            for replica in gone
        ),
    ).without_idle_names()


def _homes(machine: VirtualMachine, known: Sequence[ReplicaVolume]) -> dict[str, ReplicaVolume]:
    """Find each disk's volume: by where the source keeps the disk, else by its name.

    So a disk that is called otherwise now, or that changed places with another one, keeps its
    volume and need not be sent again.
    """
    by_location = {replica.location: replica for replica in known if replica.location}
    homes = {
        disk.id: by_location[disk.location]
        for disk in machine.disks
        if disk.location in by_location
    }
    free = {replica.disk_id: replica for replica in known if replica not in homes.values()}
    for disk in machine.disks:
        if disk.id not in homes and disk.id in free:
            homes[disk.id] = free[disk.id]
    return homes


def _renamed(was: str, now: str) -> RenamedDisk:
    return RenamedDisk(was=was, disk_id=now)


def _leaving(machine: VirtualMachine, replica: ReplicaVolume) -> str:
    """Name a disk that is gone so that another one may have its name."""
    taken = {disk.id for disk in machine.disks}
    return f"gone-{replica.disk_id}" if replica.disk_id in taken else replica.disk_id


def _grows(kept: PlannedVolume, homes: dict[str, ReplicaVolume]) -> bool:
    return kept.volume.capacity > homes[kept.disk_id].volume.capacity


def _kept(machine: VirtualMachine, disk: Disk, home: ReplicaVolume) -> PlannedVolume:
    known = home.volume
    if disk.capacity < known.capacity:
        raise CapacityError(
            f"disk {disk.id} of {machine.name} shrank from {human_size(known.capacity)} to"
            f" {human_size(disk.capacity)}; its replica was not touched",
            "make the disk as large as it was; a replica of the smaller one needs a new transfer,"
            " from a source block of another name",
        )
    grown = known.model_copy(update={"capacity": disk.capacity})
    return PlannedVolume(disk_id=disk.id, volume=grown, location=disk.location)


def _new(
    transfer: str,
    machine: VirtualMachine,
    disk: Disk,
    place: Callable[[Disk], tuple[str, str]],
    is_free: Callable[[str, str], bool],
) -> PlannedVolume:
    """Plan a volume under a name of its own.

    A disk that was called so before may have the first name; so has, after a deployment without a
    clone, the machine that the replica became.
    """
    pool, form = place(disk)
    name, count = naming.volume_name(transfer, machine.name, disk.id, form), 1
    while not is_free(pool, name):
        count += 1
        name = naming.volume_name(transfer, machine.name, f"{disk.id}-{count}", form)
    volume = Volume(pool=pool, name=name, capacity=disk.capacity, format=form)
    return PlannedVolume(disk_id=disk.id, volume=volume, location=disk.location)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where new volumes go: the request's map, and the options' default pool."""

    mapping: StorageMap
    default: str | None


@dataclass(frozen=True, slots=True)
class JudgedPlan:
    """A plan for a host's volumes, and what a person should know of it."""

    plan: VolumePlan
    findings: tuple[Finding, ...]


def plan_on_host(
    connection: libvirt.virConnect,
    transfer: str,
    machine: VirtualMachine,
    known: Sequence[ReplicaVolume],
    placement: Placement,
) -> VolumePlan:
    """Plan with the pools and volumes that the host has now; refuses what cannot fit."""
    judged = judged_plan(connection, transfer, machine, known, placement)
    notes = tuple(finding.what for finding in judged.findings)
    return judged.plan.model_copy(update={"notes": notes})


def judged_plan(
    connection: libvirt.virConnect,
    transfer: str,
    machine: VirtualMachine,
    known: Sequence[ReplicaVolume],
    placement: Placement,
    own: str = "",
) -> JudgedPlan:
    """Plan as `plan_on_host` does, and say what shows each of its notes.

    What belongs to the run `own` (or to users.ANY_RUN) may use the volumes.
    """
    _require_plain_names(machine)

    def place(disk: Disk) -> tuple[str, str]:
        pool = pool_for(disk, placement.mapping, placement.default)
        pools.require_fit(connection, pool)
        return pool, pools.volume_format(connection, pool)

    others: list[Finding] = []

    def is_taken(pool: str, name: str) -> bool:
        taken = volumes.find_volume(connection, pool, name) is not None
        if taken:
            others.append(
                warning(
                    f"volume {name} in pool {pool} is left alone: it is not part of this replica"
                    " (a machine that was deployed without a clone has it, or the ledger is"
                    " another)",
                    f"if nobody needs it: virsh vol-delete {name} {pool}",
                    f"virsh vol-info {name} {pool}: it is there, and the ledger does not know it",
                )
            )
        return taken

    _require_pools(connection, known)
    there = existing(connection, known)
    volumes.require_unused(connection, [each.volume for each in there], own=own)
    examined = witness.examine(connection, transfer, there)
    _refuse_other_pools(machine, examined.volumes, placement.mapping)
    plan = plan_volumes(transfer, machine, examined.volumes, place, is_taken)
    sizes.require_growable(connection, plan)
    lost = [replica.disk_id for replica in known if replica not in there]
    plan = plan.model_copy(update={"forget": (*lost, *examined.given), "doubt": examined.doubted})
    odd = sizes.larger_than_disks(connection, plan)
    room = require_room(connection, machine, plan)
    return JudgedPlan(plan, (*_doubts(examined), *others, *odd, *room))


def _require_pools(connection: libvirt.virConnect, known: Sequence[ReplicaVolume]) -> None:
    for replica in without_pool(connection, known):
        pool = replica.volume.pool
        raise NotFoundError(
            f"no storage pool “{pool}” on {connection.getHostname()}, where the replica has its"
            f" volume {replica.volume.name}",
            "define the pool again: its files may be there still; or remove the replica, and let it"
            " be made anew: tradewind transfer delete",
        )


def _doubts(examined: witness.ExaminedVolumes) -> Iterator[Finding]:
    for each in examined.notes:
        yield warning(
            each,
            "nothing has to be done: what is compared is not sent again",
            "what the volume's witness says, beside the ledger",
        )


def _require_plain_names(machine: VirtualMachine) -> None:
    """Refuse a disk whose name would not be one in a path: its source is not to be believed."""
    odd = [disk.id for disk in machine.disks if not _is_plain(disk.id)]
    if odd:
        raise OptionError(
            f"the source of {naming.safe_name(machine.name)} calls a disk"
            f" “{naming.safe_name(odd[0])}…”, which is no name for a volume",
            f"a disk's name has 1 to {_LONGEST} printable characters and no slash, and does not"
            " begin with a dot; call it otherwise on its source",
        )


def _is_plain(name: str) -> bool:
    fits = 0 < len(name) <= _LONGEST and not name.startswith(".")
    return fits and name.isprintable() and "/" not in name


def _refuse_other_pools(
    machine: VirtualMachine, known: Sequence[ReplicaVolume], mapping: StorageMap
) -> None:
    """Raise when the map asks for another pool than the one that a volume is in.

    Not when only the options' default pool differs: that is for volumes yet to be made.
    """
    homes = _homes(machine, known)
    for disk in machine.disks:
        asked = mapped_pool(disk, mapping)
        home = homes.get(disk.id)
        if home is not None and asked is not None and asked != home.volume.pool:
            raise OptionError(
                f"storage_map places disk {disk.id} of {machine.name} in pool “{asked}”, and its"
                f" replica is in pool “{home.volume.pool}” ({home.volume.name})",
                f"map it to {home.volume.pool}; or remove the volume (virsh vol-delete"
                f" {home.volume.name} {home.volume.pool}), and it is made anew and sent in full",
            )


def without_pool(
    connection: libvirt.virConnect, known: Collection[ReplicaVolume]
) -> list[ReplicaVolume]:
    """Return the volumes whose pool is not defined on the host any more; their files may be."""
    there = {pool.name() for pool in connection.listAllStoragePools()}
    return [replica for replica in known if replica.volume.pool not in there]


def existing(
    connection: libvirt.virConnect, known: Collection[ReplicaVolume]
) -> list[ReplicaVolume]:
    """Leave out the volumes that somebody removed behind our back."""
    return [
        replica
        for replica in known
        if volumes.find_volume(connection, replica.volume.pool, replica.volume.name) is not None
    ]
