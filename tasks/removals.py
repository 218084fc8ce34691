# SPDX-License-Identifier: Apache-2.0
"""Steps that remove a replica for good."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from tasks.site import Site, load_source
from tasks.step import step
from tasks.volumes import delete_volume, replica_volumes
from tradewind.errors import ConnectionFailedError, NotFoundError
from tradewind.host import leftovers, users
from tradewind.host.connection import connect
from tradewind.ledger import open_ledger
from tradewind.lending import given_back
from tradewind.model.host import HostAccess
from tradewind.model.ledger import RunKind, RunState, Transfer
from tradewind.model.removal import ForgottenAtSource, RemovalReport, RemovalRequest
from tradewind.model.run import Run
from tradewind.model.storage import Volume
from tradewind.ports import DataSource


@step("find-replica-{request.machine}")
def find_transfer(site: Site, request: RemovalRequest) -> Transfer:
    """Find what is known of the replica; whether it was ever completed does not matter."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
        return ledger.find_transfer(request.source, request.destination, request.machine)


@step("begin-removal-{transfer.machine.name}")
def _begin(site: Site, transfer: Transfer) -> Run:
    """Claim the transfer: nothing is removed that is being written to or deployed."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
        return ledger.begin(transfer, RunKind.REMOVAL)


@step("give-up-removal-{run.id}")
def _give_up(site: Site, run: Run) -> None:
    """Write down that the removal failed; it can be begun again."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
        ledger.finish(run, RunState.FAILED)


@contextmanager
def removal(site: Site, transfer: Transfer) -> Iterator[Run]:
    """Lend the right to remove the replica; `forget_transfer` is what ends it well."""
    run = _begin(site, transfer)
    with given_back(lambda: _give_up(site, run), only_on_error=True):
        yield run


@step("name-dead-runs-of-{run.transfer}")
def _dead_runs(site: Site, run: Run) -> frozenset[str]:
    """Name the earlier runs that ended badly: nobody will know of them afterwards."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
        return ledger.ended_badly(run.transfer)


@step("clean-up-destination-before-{run.id}")
def _clean_up(site: Site, run: Run, dead: Collection[str]) -> None:
    """Remove what dead runs left on the destination: a worker of theirs holds the volumes."""
    with connect(site.destination) as connection:
        leftovers.remove_runs(connection, dead)


@step("see-that-nobody-uses-the-replica")
def _require_unused(host: HostAccess, volumes: Sequence[Volume]) -> None:
    """Refuse to remove a volume that a machine has as its disk."""
    with connect(host) as connection:
        users.require_unused(connection, volumes)


@step("open-replica-{run.transfer}")
def _open(site: Site, run: Run) -> None:
    """Write down that the replica equals nothing any more, before the first volume goes."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
        ledger.mark_changed(run.transfer)


@step("see-that-the-volumes-are-gone")
def _require_gone(host: HostAccess, volumes: Sequence[Volume]) -> None:
    """Look whether the volumes are gone."""
    with connect(host) as connection:
        users.require_gone(connection, volumes)


def remove_volumes(site: Site, run: Run) -> tuple[Volume, ...]:
    """Remove the replica's volumes, and what dead runs left beside them."""
    replica = replica_volumes(site, run.transfer)
    volumes = tuple(each.volume for each in replica)
    _clean_up(site, run, _dead_runs(site, run))
    _require_unused(site.destination, volumes)
    _open(site, run)
    for each in replica:
        delete_volume(site, run, each)
    _require_gone(site.destination, volumes)
    return volumes


@step("clean-up-source-before-{run.id}")
def _clean_up_source(source: DataSource, run: Run, dead: Collection[str]) -> None:
    """Remove what dead runs left on the source."""
    source.clean_up(dead)


@step("forget-{transfer.machine.name}")
def _forget(source: DataSource, transfer: Transfer, run: Run) -> tuple[str, ...]:
    """Remove the checkpoints from the source, and their bitmaps."""
    return source.forget_replica(transfer.machine, run, transfer.checkpoint)


def forget_at_source(
    request: RemovalRequest, site: Site, transfer: Transfer, run: Run
) -> ForgottenAtSource:
    """Take everything away from the source; where it is gone itself, say what stays there."""
    try:
        source = load_source(request, site.options)
        _clean_up_source(source, run, _dead_runs(site, run))
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
def forget_transfer(site: Site, run: Run) -> None:
    """Remove the transfer, its runs and reports from the ledger: the removal's own run, too."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
        ledger.forget_transfer(run.transfer)


def removal_report(
    request: RemovalRequest,
    transfer: Transfer,
    volumes: Sequence[Volume],
    forgotten: ForgottenAtSource,
) -> RemovalReport:
    """Put together what was removed."""
    return RemovalReport(
        machine=transfer.machine.name,
        source=request.source,
        destination=request.destination,
        transfer=transfer.id,
        volumes=tuple(volumes),
        checkpoints=forgotten.checkpoints,
        stays=(forgotten.stays,) if forgotten.stays else (),
    )
