# SPDX-License-Identifier: Apache-2.0
"""Steps that make, grow, clone and remove volumes on the destination host."""

from collections.abc import Sequence

from prefect.logging import get_run_logger

from tasks.deploy.rehearsals import DeployContext
from tasks.environment import WORKER_OS, DestinationContext, Environment
from tasks.step import step
from tradewind.errors import TradewindError
from tradewind.host import storage
from tradewind.host.domain import domains, label_sync, overlays
from tradewind.host.storage import naming, volume_sync, witness
from tradewind.model.host import Worker
from tradewind.model.machine import VirtualMachine
from tradewind.model.requests import DeployRequest, TransferRequest
from tradewind.model.run import Run
from tradewind.model.storage import (
    PlannedVolume,
    RenamedDisk,
    ReplicaVolume,
    Volume,
    VolumePlan,
    WitnessState,
)
from tradewind.worker import lifecycle


@step("plan-volumes-{machine.name}")
def plan_replica(
    env: Environment, request: TransferRequest, run: Run, machine: VirtualMachine
) -> VolumePlan:
    """Decide which volumes to make, grow, keep and remove; refuse what cannot fit."""
    where = volume_sync.Placement(request.storage_map, env.options.default_storage_pool)
    with (
        env.ledger() as ledger,
        env.connect() as connection,
    ):
        settled = label_sync.settle(connection, ledger)
        known = ledger.volumes(run.transfer)
        plan = volume_sync.plan_on_host(connection, run.transfer, machine, known, where)
        odd = domains.unreadable_labels(connection)
    return plan.model_copy(update={"notes": (*settled, *plan.notes, *odd)})


@step("create-{planned.volume.name}")
def _create(env: Environment, run: Run, planned: PlannedVolume) -> None:
    """Make an empty volume, exactly as large as its disk; the ledger knows of it before."""
    new = naming.new_replica(run.transfer, planned)
    with (
        env.ledger() as ledger,
        env.connect() as connection,
    ):
        made = witness.opened(connection, run, [new])
        ledger.plan_volumes(run.transfer, made)
        ledger.mark_changed(run.transfer)
        storage.create_volume(connection, planned.volume)
        spare = lifecycle.spare_pool(connection, env.options.worker_image(WORKER_OS))
        witness.write_all(connection, run, made, WitnessState.BLANK, spare)


@step("forget-volumes-of-{run.transfer}")
def _forget(env: Environment, run: Run, plan: VolumePlan) -> None:
    """Forget volumes that are gone, and what was known of those that are not as they should be."""
    with env.ledger() as ledger:
        label_sync.unlearn(ledger, run.transfer, plan)


@step("rename-disks-of-{run.transfer}")
def _rename(env: Environment, run: Run, renamed: Sequence[RenamedDisk]) -> None:
    """Write down what disks are called now; nothing is touched on the host."""
    with env.ledger() as ledger:
        ledger.rename_disks(run.transfer, renamed)


@step("grow-{planned.volume.name}")
def _grow(env: Environment, run: Run, planned: PlannedVolume) -> None:
    """Grow a volume whose disk grew."""
    with env.connect() as connection:
        storage.grow_volume(connection, planned.volume)
    with env.ledger() as ledger:
        ledger.resize_volume(run.transfer, planned.disk_id, planned.volume.capacity)


@step("delete-{planned.volume.name}")
def delete_volume(env: Environment, run: Run, planned: PlannedVolume | ReplicaVolume) -> None:
    """Remove a volume, first from its host with its witness, then from the ledger."""
    with env.connect() as connection:
        storage.delete_volume(connection, planned.volume.pool, planned.volume.name)
        witness.remove(connection, planned.volume)
    with env.ledger() as ledger:
        ledger.forget_volume(run.transfer, planned.disk_id)


def reconcile_volumes(env: Environment, run: Run, plan: VolumePlan) -> None:
    """Carry the plan out: grown and new volumes first, what is gone last."""
    if plan.forget or plan.doubt:
        _forget(env, run, plan)
    if plan.rename:
        _rename(env, run, plan.rename)
    for planned in plan.grow:
        _grow(env, run, planned)
    for planned in plan.create:
        _create(env, run, planned)
    for planned in plan.delete:
        delete_volume(env, run, planned)


@step("list-volumes-{transfer}")
def replica_volumes(env: Environment, transfer: str) -> tuple[ReplicaVolume, ...]:
    """List the volumes that hold the replica."""
    with env.ledger() as ledger:
        return tuple(ledger.volumes(transfer))


@step("clone-{target.name}")
def clone_volume(env: Environment, original: Volume, target: Volume) -> None:
    """Copy a replica volume, so that the replica stays as it is."""
    with env.connect() as connection:
        storage.clone_volume(connection, original, target)


@step("open-replica-{run.transfer}")
def _open_replica(env: Environment, run: Run) -> None:
    """Write down that the replica is about to be changed: nothing may be counted from it."""
    with (
        env.ledger() as ledger,
        env.connect() as connection,
    ):
        changing = witness.opened(connection, run, ledger.volumes(run.transfer))
        ledger.plan_volumes(run.transfer, changing)
        ledger.mark_changed(run.transfer, for_good=True)
        spare = lifecycle.spare_pool(connection, env.options.worker_image(WORKER_OS))
        witness.write_all(connection, run, changing, WitnessState.WRITING, spare)


@step("overlay-{original.name}")
def _make_overlay(env: Environment, original: Volume, overlay: Volume) -> None:
    """Make a layer for what the worker writes, so that the replica stays as it is until then."""
    with env.connect() as connection:
        overlays.make(connection, original, overlay)


@step("place-overlays")
def _overlays(
    env: Environment,
    surveyed: DestinationContext,
    run: Run,
    machine: VirtualMachine,
    replica: Sequence[ReplicaVolume],
) -> tuple[ReplicaVolume, ...]:
    """Choose the pools for what the worker writes: a logical volume has no layer beside it."""
    with env.connect() as connection:
        return overlays.describe(connection, run.id, machine, replica, surveyed.worker.image_pool)


@step("commit-{overlay.volume.name}", retries=0)
def _commit(env: Environment, worker: Worker, overlay: ReplicaVolume, original: Volume) -> None:
    """Merge what the worker wrote into the replica volume."""
    with env.connect() as connection:
        overlays.commit(connection, worker.domain, overlay, original)


@step("remove-{overlay.name}")
def _remove_overlay(env: Environment, overlay: Volume) -> None:
    """Remove a layer that is merged, or was never written to."""
    with env.connect() as connection:
        storage.delete_volume(connection, overlay.pool, overlay.name)


def needs_overlays(request: DeployRequest) -> bool:
    """Whether a worker is about to write to the replica itself."""
    return not request.clone_disks and not request.skip_os_morphing


def working_volumes(
    context: DeployContext, run: Run, machine: VirtualMachine, replica: Sequence[ReplicaVolume]
) -> tuple[ReplicaVolume, ...]:
    """Give each disk of the machine, in its order, a volume on which the guest may be changed."""
    env = context.env
    if needs_overlays(context.request):
        layers = _overlays(env, context.surveyed, run, machine, replica)
        for volume, layer in zip(replica, layers, strict=True):
            _make_overlay(env, volume.volume, layer.volume)
        return layers
    if not context.request.clone_disks:
        return tuple(replica)
    clones = tuple(naming.clone_of(run.id, machine, volume) for volume in replica)
    for volume, clone in zip(replica, clones, strict=True):
        clone_volume(env, volume.volume, clone.volume)
    return clones


def commit_changes(
    context: DeployContext,
    run: Run,
    worker: Worker,
    volumes: Sequence[ReplicaVolume],
    replica: Sequence[ReplicaVolume],
) -> None:
    """Let the replica have what was changed on its overlays, all steps having succeeded.

    The ledger forgets that the replica equals its machine before the first byte: a crash half-way
    leaves a mixture, and the next transfer then compares and mends all of it.
    """
    if not needs_overlays(context.request):
        return
    _open_replica(context.env, run)
    for layer, volume in zip(volumes, replica, strict=True):
        _commit(context.env, worker, layer, volume.volume)


def machine_volumes(
    context: DeployContext,
    run: Run,
    volumes: Sequence[ReplicaVolume],
    replica: Sequence[ReplicaVolume],
) -> tuple[ReplicaVolume, ...]:
    """Take the volumes that the machine shall have: the clones, or the replica's own."""
    if context.request.clone_disks:
        return tuple(volumes)
    if needs_overlays(context.request):
        for layer in volumes:
            _remove_overlay(context.env, layer.volume)
    else:
        _open_replica(context.env, run)
    return tuple(replica)


@step("hand-over-{run.transfer}")
def _hand_over(env: Environment, run: Run, volumes: Sequence[ReplicaVolume]) -> tuple[str, ...]:
    """Let volumes say that they are a machine's now; say which could not be told."""
    with env.connect() as connection:
        return label_sync.hand_over(connection, run, volumes)


def hand_over(env: Environment, run: Run, volumes: Sequence[ReplicaVolume]) -> None:
    """Let volumes say that they are a machine's now, as far as that can be done.

    The machine is finished and written down: nothing may fail behind that. What is not told
    concerns only a ledger that is older than this moment.
    """
    if volumes:
        try:
            for failure in _hand_over(env, run, volumes):
                get_run_logger().warning(failure)
        except TradewindError as error:
            get_run_logger().warning("the volumes were not told whose they are: %s", error)
