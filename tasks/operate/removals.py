# SPDX-License-Identifier: Apache-2.0
"""Steps that remove a replica for good."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from tasks.claims import give_up
from tasks.environment import Environment, load_source
from tasks.step import step
from tasks.transfer.volumes import delete_volume
from tradewind.cleanup import cleanup_on_exit
from tradewind.errors import ConnectionFailedError, NotFoundError
from tradewind.host import leftovers, storage
from tradewind.host.domain import label_sync
from tradewind.host.storage import volume_sync, witness
from tradewind.ledger import kept
from tradewind.model.ledger import RunKind, Transfer
from tradewind.model.requests import (
    ForgottenAtSource,
    RemovableVolumes,
    RemovalReport,
    RemovalRequest,
)
from tradewind.model.run import Run
from tradewind.model.storage import Volume
from tradewind.ports import DataSource


@step("find-replica-{request.machine}")
def find_transfer(env: Environment, request: RemovalRequest) -> Transfer:
    """Find what is known of the replica; whether it was ever completed does not matter."""
    with env.ledger() as ledger:
        return ledger.find_transfer(request.source, request.destination, request.machine)


@step("begin-removal-{transfer.machine.name}")
def _begin(env: Environment, transfer: Transfer) -> Run:
    """Claim the transfer: nothing is removed that is being written to or deployed."""
    with env.ledger() as ledger:
        return ledger.begin(transfer, RunKind.REMOVAL)


@contextmanager
def removal(env: Environment, transfer: Transfer) -> Iterator[Run]:
    """Lend the right to remove the replica; `forget_transfer` is what ends it well."""
    run = _begin(env, transfer)
    undo = (lambda: give_up(env, run, "removal"),)
    with cleanup_on_exit(*undo, what=f"removal {run.id}", only_on_error=True):
        yield run


@step("name-dead-runs-of-{run.transfer}")
def _dead_runs(env: Environment, run: Run) -> frozenset[str]:
    """Name the earlier runs that ended badly: nobody will know of them afterwards."""
    with env.ledger() as ledger:
        return ledger.ended_badly(run.transfer)


@step("clean-up-destination-before-{run.id}")
def _clean_up(env: Environment, run: Run, dead: Collection[str]) -> None:
    """Remove what dead runs left on the destination: a worker of theirs holds the volumes."""
    with env.connect() as connection:
        leftovers.remove_runs(connection, dead)


@step("see-that-nobody-uses-the-replica")
def _own_volumes(env: Environment, run: Run) -> RemovableVolumes:
    """List what is the replica's own; refuse what a machine uses, or another transfer has."""
    with (
        env.ledger() as ledger,
        env.connect() as connection,
    ):
        label_sync.settle(connection, ledger)
        known = ledger.volumes(run.transfer)
        lost = volume_sync.without_pool(connection, known)
        within_reach = [each for each in known if each not in lost]
        there = volume_sync.existing(connection, within_reach)
        storage.require_unused(connection, [each.volume for each in there])
        given = witness.examine(connection, run.transfer, there).given
        kept.give(ledger, run.transfer, given)
        return RemovableVolumes(
            replica=tuple(each for each in within_reach if each.disk_id not in given),
            stays=tuple(_out_of_reach(env.destination.host, each.volume) for each in lost),
        )


def _out_of_reach(host: str, volume: Volume) -> str:
    return (
        f"on {host}, volume {volume.name}, if it is still there: its pool “{volume.pool}” is not"
        " defined any more; where you define the pool again:"
        f" virsh vol-delete --pool {volume.pool} {volume.name}"
    )


@step("open-replica-{run.transfer}")
def _open(env: Environment, run: Run) -> None:
    """Write down that the replica equals nothing any more, before the first volume goes."""
    with env.ledger() as ledger:
        ledger.mark_changed(run.transfer)


@step("see-that-the-volumes-are-gone")
def _require_gone(env: Environment, volumes: Sequence[Volume]) -> None:
    """Look whether the volumes are gone."""
    with env.connect() as connection:
        storage.require_gone(connection, volumes)


def remove_volumes(env: Environment, run: Run) -> RemovableVolumes:
    """Remove the replica's volumes, and what dead runs left beside them; return what they were."""
    _clean_up(env, run, _dead_runs(env, run))
    own = _own_volumes(env, run)
    _open(env, run)
    for each in own.replica:
        delete_volume(env, run, each)
    _require_gone(env, own.volumes)
    return own


@step("clean-up-source-before-{run.id}")
def _clean_up_source(source: DataSource, run: Run, dead: Collection[str]) -> None:
    """Remove what dead runs left on the source."""
    source.clean_up(dead)


@step("forget-{transfer.machine.name}")
def _forget(source: DataSource, transfer: Transfer, run: Run) -> tuple[str, ...]:
    """Remove the checkpoints from the source, and their bitmaps."""
    return source.forget_replica(transfer.machine, run, transfer.checkpoint)


def forget_at_source(
    request: RemovalRequest, env: Environment, transfer: Transfer, run: Run
) -> ForgottenAtSource:
    """Take everything away from the source; where it is gone itself, say what stays there."""
    try:
        source = load_source(request, env.options)
        _clean_up_source(source, run, _dead_runs(env, run))
        return ForgottenAtSource(checkpoints=_forget(source, transfer, run))
    except (ConnectionFailedError, NotFoundError) as error:
        return ForgottenAtSource(stays=_what_stays(transfer, error.message))


def _what_stays(transfer: Transfer, why: str) -> str:
    name, checkpoint = transfer.machine.name, transfer.checkpoint
    if checkpoint is None:
        return f"{transfer.source} was not asked ({why}); no checkpoint is known to be there"
    return (
        f"on {transfer.source}, checkpoint {checkpoint.name} of {name}, which could not be removed"
        f" ({why}); where the machine is still there:"
        f" virsh checkpoint-delete {name} {checkpoint.name}"
    )


@step("forget-transfer-{run.transfer}")
def forget_transfer(env: Environment, run: Run) -> None:
    """Remove the transfer, its runs and reports from the ledger: the removal's own run, too."""
    with env.ledger() as ledger:
        ledger.forget_transfer(run.transfer)


def removal_report(
    request: RemovalRequest,
    transfer: Transfer,
    removed: RemovableVolumes,
    forgotten: ForgottenAtSource,
) -> RemovalReport:
    """Put together what was removed."""
    return RemovalReport(
        machine=transfer.machine.name,
        source=request.source,
        destination=request.destination,
        transfer=transfer.id,
        volumes=removed.volumes,
        checkpoints=forgotten.checkpoints,
        stays=(*removed.stays, forgotten.stays) if forgotten.stays else removed.stays,
    )
