# SPDX-License-Identifier: Apache-2.0
"""Steps that make, grow, clone and remove volumes on the destination host."""

from collections.abc import Sequence

from tasks.site import Site
from tasks.step import step
from tradewind.host import reconcile, storage
from tradewind.host.connection import connect
from tradewind.ledger import open_ledger
from tradewind.model.machine import VirtualMachine
from tradewind.model.requests import DeployRequest, TransferRequest
from tradewind.model.run import Run
from tradewind.model.storage import PlannedVolume, ReplicaVolume, Volume, VolumePlan
from tradewind.waiting import run_interruptibly


@step("plan-volumes-{machine.name}")
def plan_replica(
    site: Site, request: TransferRequest, run: Run, machine: VirtualMachine
) -> VolumePlan:
    """Decide which volumes to make, grow, keep and remove; refuse what cannot fit."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
        known = ledger.volumes(run.transfer)
    with connect(site.destination) as connection:
        return reconcile.plan_on_host(
            connection,
            run.transfer,
            machine,
            known,
            reconcile.Placement(request.storage_map, site.options.default_storage_pool),
        )


@step("create-{planned.volume.name}")
def _create(site: Site, run: Run, planned: PlannedVolume) -> None:
    """Make an empty volume, exactly as large as its disk; the ledger knows of it before."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
        ledger.plan_volumes(run.transfer, [reconcile.new_replica(run.transfer, planned)])
        ledger.mark_changed(run.transfer)
    with connect(site.destination) as connection:
        storage.create_volume(connection, planned.volume)


@step("grow-{planned.volume.name}")
def _grow(site: Site, run: Run, planned: PlannedVolume) -> None:
    """Grow a volume whose disk grew."""
    with connect(site.destination) as connection:
        storage.grow_volume(connection, planned.volume)
    with open_ledger(site.options.sqlite_database_file) as ledger:
        ledger.resize_volume(run.transfer, planned.disk_id, planned.volume.capacity)


@step("delete-{planned.volume.name}")
def _delete(site: Site, run: Run, planned: PlannedVolume) -> None:
    """Remove a volume whose disk is gone."""
    with connect(site.destination) as connection:
        storage.delete_volume(connection, planned.volume.pool, planned.volume.name)
    with open_ledger(site.options.sqlite_database_file) as ledger:
        ledger.forget_volume(run.transfer, planned.disk_id)


def reconcile_volumes(site: Site, run: Run, plan: VolumePlan) -> tuple[ReplicaVolume, ...]:
    """Carry the plan out: grown and new volumes first, what is gone last."""
    for planned in plan.grow:
        _grow(site, run, planned)
    for planned in plan.create:
        _create(site, run, planned)
    for planned in plan.delete:
        _delete(site, run, planned)
    return replica_volumes(site, run.transfer)


@step("list-volumes-{transfer}")
def replica_volumes(site: Site, transfer: str) -> tuple[ReplicaVolume, ...]:
    """List the volumes that hold the replica."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
        return tuple(ledger.volumes(transfer))


@step("clone-{target.name}")
def clone_volume(site: Site, original: Volume, target: Volume) -> None:
    """Copy a replica volume, so that the replica stays as it is."""
    with connect(site.destination) as connection:
        run_interruptibly(lambda: storage.clone_volume(connection, original, target))


@step("open-replica-{run.transfer}")
def _open_replica(site: Site, run: Run) -> None:
    """Write down that the replica is about to be changed: no deployment may start from it."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
        ledger.mark_changed(run.transfer)


def deployed_volumes(
    site: Site,
    request: DeployRequest,
    run: Run,
    machine: VirtualMachine,
    replica: Sequence[ReplicaVolume],
) -> tuple[ReplicaVolume, ...]:
    """Clone every volume of a replica, in the machine's order; or take the replica itself."""
    if not request.clone_disks:
        _open_replica(site, run)
        return tuple(replica)
    clones = tuple(reconcile.clone_of(run.id, machine, volume) for volume in replica)
    for volume, clone in zip(replica, clones, strict=True):
        clone_volume(site, volume.volume, clone.volume)
    return clones
