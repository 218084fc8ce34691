# SPDX-License-Identifier: Apache-2.0
"""Overlays on a replica: what a worker writes is kept apart until it is known to be right.

    replica volume  ◀──  overlay (qcow2)  ◀──  worker

The guest is adapted on the overlay. When every step has succeeded, QEMU merges it into the replica
while the worker still runs (virDomainBlockCommit, then a pivot), so the account needs no access to
the files. Until then the replica is opened read-only, and a failure leaves it as it was.
"""

from collections.abc import Sequence
from typing import Final

import libvirt

from tradewind.domainxml import worker as worker_xml
from tradewind.errors import HypervisorError
from tradewind.host import storage
from tradewind.host.domain import domains
from tradewind.host.storage import volume_users
from tradewind.host.storage.naming import for_adapting, safe_name
from tradewind.model.machine import VirtualMachine
from tradewind.model.run import labelled_name
from tradewind.model.storage import ReplicaVolume, Volume
from tradewind.units import GiB
from tradewind.waiting import wait_for

# What adapting a guest writes: packages, and an initramfs of 50 to 500 MiB for each kernel.
ROOM: Final = 2 * GiB
COMMIT_TIMEOUT: Final = 3600

_COMMIT_JOBS: Final = frozenset(
    {
        libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT,
        libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT,
    }
)


def describe(
    connection: libvirt.virConnect,
    run_id: str,
    machine: VirtualMachine,
    replica: Sequence[ReplicaVolume],
    file_pool: str,
) -> tuple[ReplicaVolume, ...]:
    """Describe the overlays of a replica: beside its volumes, or in `file_pool`."""
    return tuple(
        overlay_of(run_id, machine, volume, pool_for(connection, volume, file_pool))
        for volume in replica
    )


def overlay_of(
    run_id: str, machine: VirtualMachine, replica: ReplicaVolume, pool: str
) -> ReplicaVolume:
    """Describe the overlay on one replica volume, labelled with the run by its name."""
    name = labelled_name(run_id, f"{safe_name(machine.name)}-{replica.disk_id}-overlay.qcow2")
    overlay = replica.volume.model_copy(update={"pool": pool, "name": name, "format": "qcow2"})
    return for_adapting(replica, overlay, machine)


def pool_for(connection: libvirt.virConnect, replica: ReplicaVolume, file_pool: str) -> str:
    """Choose where the overlay goes: next to the replica, or into a pool of files."""
    pool = replica.volume.pool
    return pool if storage.volume_format(connection, pool) == "qcow2" else file_pool


def require_room(
    connection: libvirt.virConnect, replica: Sequence[ReplicaVolume], file_pool: str
) -> None:
    """Raise CapacityError when a pool has no room for what adapting the guest writes."""
    for pool in {pool_for(connection, volume, file_pool) for volume in replica}:
        storage.require_room(connection, pool, ROOM, "adapting the guest without a clone")


def make(connection: libvirt.virConnect, original: Volume, overlay: Volume) -> None:
    """Make an empty overlay on a replica volume, which nothing else uses."""
    base = storage.require_volume(connection, original.pool, original.name)
    volume_users.require_unused(connection, [base])
    storage.create_overlay(connection, overlay, base)


def commit(
    connection: libvirt.virConnect, worker: str, overlay: ReplicaVolume, original: Volume
) -> None:
    """Merge an overlay that a worker has into its replica volume; the worker then has that one.

    HypervisorError when QEMU gives up (a pool that is full, for example): the replica is then
    neither as it was nor complete.
    """
    domain = domains.require_domain(connection, worker)
    path = storage.volume_path(connection, original)
    disk = worker_xml.plugged_disk(domain.XMLDesc(), overlay.serial)
    if disk.source != path:  # else: a retried step
        base = storage.require_volume(connection, original.pool, original.name)
        own = volume_users.run_of(overlay.volume.name)
        volume_users.require_unused(connection, [base], own=own, lent_to=worker)
        domain.blockCommit(disk.target, None, None, 0, libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE)
        wait_for(
            lambda: _is_ready(domain, overlay),
            f"{overlay.volume.name} is merged into {original.name}",
            COMMIT_TIMEOUT,
            every=0.5,
        )
        domain.blockJobAbort(disk.target, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
    now = worker_xml.plugged_disk(domain.XMLDesc(), overlay.serial).source
    if now != path:
        raise HypervisorError(f"{worker} still uses {now} after its merge into {original.name}")


def _is_ready(domain: libvirt.virDomain, overlay: ReplicaVolume) -> bool:
    disk = worker_xml.plugged_disk(domain.XMLDesc(), overlay.serial)
    if disk.ready_to_pivot:
        return True
    if domain.blockJobInfo(disk.target, 0).get("type") not in _COMMIT_JOBS:
        raise HypervisorError(
            f"QEMU gave up merging {overlay.volume.name} into its replica",
            "its log on the host says why; a pool may be full. The next transfer mends the replica",
        )
    return False
