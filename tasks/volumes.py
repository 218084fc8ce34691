# SPDX-License-Identifier: Apache-2.0
"""Steps that make, grow, clone and remove volumes on the destination host."""

from collections.abc import Sequence

from tasks.rehearsals import Stage
from tasks.site import Ground, Site
from tasks.step import step
from tradewind.host import overlays, reconcile, storage
from tradewind.host.connection import connect
from tradewind.ledger import open_ledger
from tradewind.model.deploy_request import DeployRequest
from tradewind.model.host import HostAccess
from tradewind.model.machine import VirtualMachine
from tradewind.model.requests import TransferRequest
from tradewind.model.run import Run
from tradewind.model.storage import PlannedVolume, RenamedDisk, ReplicaVolume, Volume, VolumePlan
from tradewind.model.worker import Worker
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


@step("rename-disks-of-{run.transfer}")
def _rename(site: Site, run: Run, renamed: Sequence[RenamedDisk]) -> None:
    """Write down what disks are called now; nothing is touched on the host."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
        ledger.rename_disks(run.transfer, renamed)


@step("grow-{planned.volume.name}")
def _grow(site: Site, run: Run, planned: PlannedVolume) -> None:
    """Grow a volume whose disk grew."""
    with connect(site.destination) as connection:
        storage.grow_volume(connection, planned.volume)
    with open_ledger(site.options.sqlite_database_file) as ledger:
        ledger.resize_volume(run.transfer, planned.disk_id, planned.volume.capacity)


@step("delete-{planned.volume.name}")
def delete_volume(site: Site, run: Run, planned: PlannedVolume | ReplicaVolume) -> None:
    """Remove a volume, first from its host, then from the ledger."""
    with connect(site.destination) as connection:
        storage.delete_volume(connection, planned.volume.pool, planned.volume.name)
    with open_ledger(site.options.sqlite_database_file) as ledger:
        ledger.forget_volume(run.transfer, planned.disk_id)


def reconcile_volumes(site: Site, run: Run, plan: VolumePlan) -> None:
    """Carry the plan out: grown and new volumes first, what is gone last."""
    if plan.rename:
        _rename(site, run, plan.rename)
    for planned in plan.grow:
        _grow(site, run, planned)
    for planned in plan.create:
        _create(site, run, planned)
    for planned in plan.delete:
        delete_volume(site, run, planned)


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
    """Write down that the replica is about to be changed: nothing may be counted from it."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
        ledger.mark_changed(run.transfer, for_good=True)


@step("overlay-{original.name}")
def _make_overlay(site: Site, original: Volume, overlay: Volume) -> None:
    """Make a layer for what the worker writes, so that the replica stays as it is until then."""
    with connect(site.destination) as connection:
        overlays.make(connection, original, overlay)


@step("place-overlays")
def _overlays(
    site: Site, ground: Ground, run: Run, machine: VirtualMachine, replica: Sequence[ReplicaVolume]
) -> tuple[ReplicaVolume, ...]:
    """Choose the pools for what the worker writes: a logical volume has no layer beside it."""
    with connect(site.destination) as connection:
        return overlays.describe(connection, run.id, machine, replica, ground.worker.image_pool)


@step("commit-{overlay.volume.name}", retries=0)
def _commit(host: HostAccess, worker: Worker, overlay: ReplicaVolume, original: Volume) -> None:
    """Merge what the worker wrote into the replica volume."""
    with connect(host) as connection:
        overlays.commit(connection, worker.domain, overlay, original)


@step("remove-{overlay.name}")
def _remove_overlay(host: HostAccess, overlay: Volume) -> None:
    """Remove a layer that is merged, or was never written to."""
    with connect(host) as connection:
        storage.delete_volume(connection, overlay.pool, overlay.name)


def needs_overlays(request: DeployRequest) -> bool:
    """Whether a worker is about to write to the replica itself."""
    return not request.clone_disks and not request.skip_os_morphing


def working_volumes(
    stage: Stage, run: Run, machine: VirtualMachine, replica: Sequence[ReplicaVolume]
) -> tuple[ReplicaVolume, ...]:
    """Give each disk of the machine, in its order, a volume on which the guest may be changed."""
    site = stage.site
    if needs_overlays(stage.request):
        layers = _overlays(site, stage.ground, run, machine, replica)
        for volume, layer in zip(replica, layers, strict=True):
            _make_overlay(site, volume.volume, layer.volume)
        return layers
    if not stage.request.clone_disks:
        return tuple(replica)
    clones = tuple(reconcile.clone_of(run.id, machine, volume) for volume in replica)
    for volume, clone in zip(replica, clones, strict=True):
        clone_volume(site, volume.volume, clone.volume)
    return clones


def commit_changes(
    stage: Stage,
    run: Run,
    worker: Worker,
    volumes: Sequence[ReplicaVolume],
    replica: Sequence[ReplicaVolume],
) -> None:
    """Let the replica have what was changed on its overlays, all steps having succeeded.

    The ledger forgets that the replica equals its machine before the first byte: a crash half-way
    leaves a mixture, and the next transfer then compares and mends all of it.
    """
    if not needs_overlays(stage.request):
        return
    _open_replica(stage.site, run)
    for layer, volume in zip(volumes, replica, strict=True):
        _commit(stage.site.destination, worker, layer, volume.volume)


def machine_volumes(
    stage: Stage, run: Run, volumes: Sequence[ReplicaVolume], replica: Sequence[ReplicaVolume]
) -> tuple[ReplicaVolume, ...]:
    """Take the volumes that the machine shall have: the clones, or the replica's own."""
    if stage.request.clone_disks:
        return tuple(volumes)
    if needs_overlays(stage.request):
        for layer in volumes:
            _remove_overlay(stage.site.destination, layer.volume)
    else:
        _open_replica(stage.site, run)
    return tuple(replica)
