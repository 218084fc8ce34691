# SPDX-License-Identifier: Apache-2.0
"""Steps that decide what a deployment makes, and make it: checked, planned, completed, defined."""

from dataclasses import dataclass
from datetime import UTC, datetime

from tasks.deploy.rehearsals import DeployContext
from tasks.environment import DestinationContext, Environment
from tasks.folders import require_deploy_options
from tasks.step import step
from tasks.transfer.volumes import needs_overlays
from tradewind.domainxml.final import final_domain, shortfalls
from tradewind.host import storage
from tradewind.host.domain import domains, label_sync, overlays
from tradewind.host.storage import naming, room, witness
from tradewind.host.target import domain_plan
from tradewind.host.target.attachments import HostOffer, with_attachments
from tradewind.model.deploy import FinalDomain, Suitability
from tradewind.model.ledger import Transfer
from tradewind.model.machine import VirtualMachine
from tradewind.model.proof import BootProof
from tradewind.model.report import DeployReport, Morphed
from tradewind.model.requests import DeployRequest
from tradewind.model.run import Run
from tradewind.model.storage import ReplicaVolume
from tradewind.morphing.linux.packages import folder
from tradewind.sources.images import conversion


@step("find-replica-{request.machine}")
def find_replica(env: Environment, request: DeployRequest) -> Transfer:
    """Find the transfer that made the replica; it must have been completed once."""
    with (
        env.ledger() as ledger,
        env.connect() as connection,
    ):
        ledger.outages.require_none(request.machine, request.source, request.destination)
        label_sync.settle(connection, ledger)
        return ledger.find_synced(request.source, request.destination, request.machine)


@dataclass(frozen=True, slots=True)
class CheckedDeployment:
    """The replica's volumes in the machine's order, and what the host can make of it."""

    replica: tuple[ReplicaVolume, ...]
    suits: Suitability


@step("check-deployment-{transfer.machine.name}")
def check_deployment(
    env: Environment, request: DeployRequest, transfer: Transfer, surveyed: DestinationContext
) -> CheckedDeployment:
    """Refuse what cannot be defined, before anything is made; list the replica's volumes."""
    machine = transfer.machine
    require_deploy_options(request)
    folder.require(request.packages_folder)
    with env.ledger() as ledger:
        replica = naming.in_machine_order(machine, ledger.volumes(transfer.id))
    with env.connect() as connection:
        storage.require_unused(connection, [each.volume for each in replica])
        witness.require_known(connection, transfer.id, replica)
        suits = domain_plan.check(connection, machine, request, env.options, surveyed.facts)
        if needs_overlays(request):
            overlays.require_room(connection, replica, surveyed.worker.image_pool)
        if request.clone_disks:
            room.require_room_for_clones(connection, machine.name, replica)
    return CheckedDeployment(replica, suits)


@step("plan-domain-{spec.machine.name}")
def plan_domain(
    env: Environment, surveyed: DestinationContext, spec: domain_plan.DeploySpec
) -> FinalDomain:
    """Apply the options to the machine's own description."""
    with env.connect() as connection:
        return domain_plan.compose(connection, spec, env.options, surveyed.facts)


@step("add-attachments-{final.name}")
def add_attachments(
    env: Environment,
    surveyed: DestinationContext,
    spec: domain_plan.DeploySpec,
    final: FinalDomain,
) -> FinalDomain:
    """Put the config drive and the UEFI variables beside the disks, as far as there are any."""
    offer = HostOffer(
        surveyed.facts,
        surveyed.worker.image_pool,
        conversion.to_qcow2,
        with_config_drive=env.options.use_config_drive,
    )
    with env.connect() as connection:
        return with_attachments(connection, spec, final, offer)


@step("define-{final.name}")
def define_machine(env: Environment, transfer: Transfer, final: FinalDomain) -> None:
    """Define the final machine, labelled as unfinished until it is proven.

    The ledger knows its name before: from here on it may be what runs.
    """
    with env.ledger() as ledger:
        ledger.outages.lands(final.label.run, final.name, final.uuid or "")
    with env.connect() as connection:
        domains.define(connection, final_domain(transfer.machine, final))


def deploy_report(
    context: DeployContext,
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
        destination=context.request.destination,
        cloned=context.request.clone_disks,
        rehearsal=context.rehearsal,
        started=context.request.start,
        autostart=final.autostart,
        guest=morphed.guest,
        steps=morphed.steps,
        scripts=morphed.scripts,
        proof=proof,
        worker_seconds_to_ssh=morphed.worker_seconds_to_ssh,
        seconds=(datetime.now(UTC) - run.begun).total_seconds(),
        shortfalls=(*morphed.not_done, *morphed.notes, *shortfalls(machine, final)),
    )
