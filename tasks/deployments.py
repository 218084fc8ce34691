# SPDX-License-Identifier: Apache-2.0
"""Steps that keep the ledger and the plan of a deployment."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from tasks.rehearsals import Stage
from tasks.site import Ground, Site
from tasks.step import step
from tasks.volumes import needs_overlays
from tradewind.domainxml.final import final_domain, shortfalls
from tradewind.host import design, domains, leftovers, overlays, reconcile
from tradewind.host.connection import connect
from tradewind.host.furnishing import Means, furnish
from tradewind.ledger import open_ledger
from tradewind.lending import given_back
from tradewind.model.deploy import FinalDomain
from tradewind.model.deploy_request import DeployRequest
from tradewind.model.host import HostAccess
from tradewind.model.label import LabelState, Purpose
from tradewind.model.ledger import RunKind, RunState, Transfer
from tradewind.model.machine import VirtualMachine
from tradewind.model.proof import BootProof
from tradewind.model.report import DeployReport, Morphed
from tradewind.model.run import Run
from tradewind.model.storage import ReplicaVolume
from tradewind.morphing.packages import folder


@step("find-replica-{request.machine}")
def find_replica(site: Site, request: DeployRequest) -> Transfer:
    """Find the transfer that made the replica; it must have been completed once."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
        return ledger.find_synced(request.source, request.destination, request.machine)


@step("check-deployment-{transfer.machine.name}")
def check_deployment(
    site: Site, request: DeployRequest, transfer: Transfer, ground: Ground
) -> tuple[ReplicaVolume, ...]:
    """Refuse what cannot be defined, before anything is made; list the replica's volumes."""
    machine = transfer.machine
    folder.require(request.packages_folder)
    with open_ledger(site.options.sqlite_database_file) as ledger:
        replica = reconcile.in_machine_order(machine, ledger.volumes(transfer.id))
    with connect(site.destination) as connection:
        design.check(connection, machine, request, site.options, ground.facts)
        if needs_overlays(request):
            overlays.require_room(connection, replica, ground.worker.image_pool)
    return replica


@step("begin-{request.title}")
def _begin(site: Site, request: DeployRequest, transfer: Transfer) -> Run:
    """Claim the transfer: nothing writes to the replica while it is deployed."""
    kind = RunKind.REHEARSAL if request.rehearse else RunKind.DEPLOYMENT
    with open_ledger(site.options.sqlite_database_file) as ledger:
        return ledger.begin(transfer, kind)


@step("undo-deployment-{run.id}")
def _undo(host: HostAccess, run: Run) -> None:
    """Remove the half-made machine, the clones and whatever else the run made on the host."""
    with connect(host) as connection:
        leftovers.remove_run(connection, run.id)


@step("give-up-deployment-{run.id}")
def _give_up(site: Site, run: Run) -> None:
    """Write down that the deployment failed."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
        ledger.finish(run, RunState.FAILED)


@contextmanager
def deployment(site: Site, request: DeployRequest, transfer: Transfer) -> Iterator[Run]:
    """Lend a run that is undone unless it ends well; `record_deployment` is what ends it."""
    run = _begin(site, request, transfer)
    # A host that is out of reach must not keep the transfer claimed: each is tried for itself.
    undo = (lambda: _undo(site.destination, run), lambda: _give_up(site, run))
    with given_back(*undo, only_on_error=True):
        yield run


@step("design-{order.machine.name}")
def design_machine(site: Site, ground: Ground, order: design.Order) -> FinalDomain:
    """Apply the options to the machine's own description."""
    with connect(site.destination) as connection:
        return design.compose(connection, order, site.options, ground.facts)


@step("furnish-{final.name}")
def furnish_machine(
    site: Site, ground: Ground, order: design.Order, final: FinalDomain
) -> FinalDomain:
    """Put the config drive and the UEFI variables beside the disks, as far as there are any."""
    means = Means(ground.facts, ground.worker.image_pool, site.options.use_config_drive)
    with connect(site.destination) as connection:
        return furnish(connection, order, final, means)


@step("define-{final.name}")
def define_machine(site: Site, transfer: Transfer, final: FinalDomain) -> None:
    """Define the final machine, labelled as unfinished until it is proven."""
    with connect(site.destination) as connection:
        domains.define(connection, final_domain(transfer.machine, final))


@step("finish-{name}")
def _finish_machine(host: HostAccess, run: Run, name: str, *, autostart: bool) -> None:
    """Mark the machine as finished: from now on it belongs to its owner, not to this run."""
    with connect(host) as connection:
        domains.start_with_host(connection, name, wanted=autostart)
        finished = run.label(Purpose.MACHINE, LabelState.FINISHED)
        domains.write_label(connection, name, finished)


@step("record-{request.title}")
def _record(site: Site, request: DeployRequest, run: Run, report: DeployReport) -> None:
    """Write down that it ended well, and whose the replica's volumes are."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
        if not request.clone_disks:
            ledger.give_away(run.transfer)
        ledger.finish(run, RunState.COMPLETED, report)


def record_deployment(site: Site, request: DeployRequest, run: Run, report: DeployReport) -> None:
    """End the run; what was rehearsed with is gone already."""
    if not request.rehearse:
        _finish_machine(site.destination, run, report.domain, autostart=report.autostart)
    _record(site, request, run, report)


def deploy_report(
    stage: Stage,
    run: Run,
    machine: VirtualMachine,
    final: FinalDomain,
    morphed: Morphed,
    proof: BootProof | None,
) -> DeployReport:
    """Put together what the deployment came to."""
    return DeployReport(
        deployment=run.id,
        machine=machine.name,
        domain=final.name,
        destination=stage.request.destination,
        cloned=stage.request.clone_disks,
        rehearsal=stage.rehearsal,
        started=stage.request.start,
        autostart=final.autostart,
        guest=morphed.guest,
        steps=morphed.steps,
        scripts=morphed.scripts,
        proof=proof,
        worker_seconds_to_ssh=morphed.worker_seconds_to_ssh,
        seconds=(datetime.now(UTC) - run.begun).total_seconds(),
        shortfalls=(*morphed.not_done, *morphed.notes, *shortfalls(machine, final)),
    )
