# SPDX-License-Identifier: Apache-2.0
"""Whether pools have room for the volumes that are to be made."""

from collections.abc import Sequence

import libvirt

from tradewind.host.storage import pools, volumes
from tradewind.model.finding import Finding, warning
from tradewind.model.machine import VirtualMachine
from tradewind.model.storage import ReplicaVolume, VolumePlan
from tradewind.units import human_size


def require_room(
    connection: libvirt.virConnect, machine: VirtualMachine, plan: VolumePlan
) -> tuple[Finding, ...]:
    """Raise CapacityError when a pool cannot hold what its new volumes take up at once.

    That is what the source really stores, in a thick pool all of each disk. Returns a warning for
    each pool that could overflow once the disks fill up: thin volumes are no error today.
    """
    disks = {disk.id: disk for disk in machine.disks}
    stored: dict[str, int] = {}
    capacity: dict[str, int] = {}
    for planned in plan.create:
        disk, pool = disks[planned.disk_id], planned.volume.pool
        thick = pools.is_thick(connection, pool)
        size = disk.capacity if thick or disk.allocation is None else disk.allocation
        stored[pool] = stored.get(pool, 0) + min(size, disk.capacity)
        capacity[pool] = capacity.get(pool, 0) + disk.capacity
    for pool, needed in stored.items():
        pools.require_room(connection, pool, needed, f"machine {machine.name}")
    free = {pool: pools.available(connection, pool) for pool in capacity}
    return tuple(
        warning(
            f"pool {pool} is overcommitted: its new volumes may grow to {human_size(size)},"
            f" {human_size(free[pool])} are free",
            "see that it does not fill up, or choose a larger pool (storage_map)",
            f"virsh pool-info {pool}: Available: {human_size(free[pool])}",
        )
        for pool, size in capacity.items()
        if size > free[pool]
    )


def require_room_for_clones(
    connection: libvirt.virConnect, machine: str, replica: Sequence[ReplicaVolume]
) -> None:
    """Raise CapacityError when a pool cannot hold a second one of each of its volumes."""
    needed: dict[str, int] = {}
    for volume in (each.volume for each in replica):
        there = volumes.require_volume(connection, volume.pool, volume.name)
        facts = volumes.describe_volume(there)
        thick = pools.is_thick(connection, volume.pool)
        size = facts.capacity if thick else min(facts.allocation, facts.capacity)
        needed[volume.pool] = needed.get(volume.pool, 0) + size
    for pool, size in needed.items():
        pools.require_room(connection, pool, size, f"a clone of machine {machine}")
