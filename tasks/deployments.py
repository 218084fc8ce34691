# SPDX-License-Identifier: Apache-2.0
"""Steps that keep the ledger and the plan of a deployment."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from tasks.site import Ground, Site
from tasks.step import step
from tradewind.domainxml.final import final_domain, shortfalls
from tradewind.host import design, domains, leftovers, reconcile
from tradewind.host.connection import connect
from tradewind.ledger import open_ledger
from tradewind.lending import given_back
from tradewind.model.deploy import FinalDomain
from tradewind.model.host import HostAccess
from tradewind.model.label import LabelState, Purpose
from tradewind.model.ledger import RunKind, RunState, Transfer
from tradewind.model.machine import VirtualMachine
from tradewind.model.report import BootProof, DeployReport, Morphed
from tradewind.model.requests import DeployRequest
from tradewind.model.run import Run
from tradewind.model.storage import ReplicaVolume


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
    with connect(site.destination) as connection:
        design.check(connection, machine, request, site.options, ground.facts)
    with open_ledger(site.options.sqlite_database_file) as ledger:
        return reconcile.in_machine_order(machine, ledger.volumes(transfer.id))


@step("begin-deployment-{transfer.machine.name}")
def _begin(site: Site, transfer: Transfer) -> Run:
    """Claim the transfer: nothing writes to the replica while it is deployed."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
        return ledger.begin(transfer, RunKind.DEPLOYMENT)


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
def deployment(site: Site, transfer: Transfer) -> Iterator[Run]:
    """Lend a run that is undone unless it ends well; `record_deployment` is what ends it."""
    run = _begin(site, transfer)
    # A host that is out of reach must not keep the transfer claimed: each is tried for itself.
    undo = (lambda: _undo(site.destination, run), lambda: _give_up(site, run))
    with given_back(*undo, only_on_error=True):
        yield run


@step("design-{transfer.machine.name}")
def design_machine(
    site: Site,
    request: DeployRequest,
    transfer: Transfer,
    ground: Ground,
    run: Run,
    volumes: Sequence[ReplicaVolume],
) -> FinalDomain:
    """Apply the options to the machine's own description."""
    machine = transfer.machine
    with connect(site.destination) as connection:
        parts = design.Parts(
            name=design.final_name(request, machine),
            disks=design.final_disks(connection, volumes),
            nics=tuple(
                design.map_nic(nic, request.network_map, ground.facts) for nic in machine.nics
            ),
            label=run.label(Purpose.MACHINE),
        )
    return design.final_machine(parts, site.options, ground.facts)


@step("define-{final.name}")
def define_machine(site: Site, transfer: Transfer, final: FinalDomain) -> None:
    """Define the final machine, labelled as unfinished until it is proven."""
    with connect(site.destination) as connection:
        domains.define(connection, final_domain(transfer.machine, final))


@step("record-deployment-{report.domain}")
def record_deployment(
    site: Site, request: DeployRequest, run: Run, report: DeployReport
) -> DeployReport:
    """Mark the machine as finished: from now on it belongs to its owner, not to this run."""
    with connect(site.destination) as connection:
        finished = run.label(Purpose.MACHINE, LabelState.FINISHED)
        domains.write_label(connection, report.domain, finished)
    with open_ledger(site.options.sqlite_database_file) as ledger:
        if not request.clone_disks:
            ledger.give_away(run.transfer)
        ledger.finish(run, RunState.COMPLETED, report)
    return report


def deploy_report(
    request: DeployRequest,
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
        destination=request.destination,
        cloned=request.clone_disks,
        started=request.start,
        guest=morphed.guest,
        steps=morphed.steps,
        proof=proof,
        worker_seconds_to_ssh=morphed.worker_seconds_to_ssh,
        seconds=(datetime.now(UTC) - run.begun).total_seconds(),
        shortfalls=(*morphed.notes, *shortfalls(machine, final)),
    )
