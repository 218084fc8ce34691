# SPDX-License-Identifier: Apache-2.0
"""Turn a replica into a running machine."""

from prefect import flow

from tasks.announcements import announced
from tasks.deploy_reports import publish_deployment
from tasks.deployments import (
    check_deployment,
    define_machine,
    deploy_report,
    deployment,
    design_machine,
    find_replica,
    furnish_machine,
    record_deployment,
)
from tasks.machines import bring_up
from tasks.morphs import Wanted, load_guest_keys, morph_guest
from tasks.rehearsals import staged
from tasks.scripts import load_scripts
from tasks.site import load_site, survey
from tasks.volumes import commit_changes, machine_volumes, working_volumes
from tasks.workers import attached, worker_vm
from tradewind.host.design import Order
from tradewind.model.deploy_request import DeployRequest
from tradewind.model.label import Purpose
from tradewind.model.report import DeployReport, Morphed


@announced
@flow(flow_run_name="{request.title}")
def deploy(request: DeployRequest) -> DeployReport:
    """Clone the replica, adapt the guest, define the machine, and prove that it boots.

    A rehearsal does the same on a network that nothing leaves, and takes everything away again.
    """
    site = load_site(request)
    transfer = find_replica(site, request)
    machine = transfer.machine
    ground = survey(site, len(machine.disks))
    replica = check_deployment(site, request, transfer, ground)
    wanted = Wanted(site.options, request, load_guest_keys(request), load_scripts(request))
    with deployment(site, request, transfer) as run:
        with staged(site, request, ground, run) as stage:
            volumes = working_volumes(stage, run, machine, replica)
            morphed = Morphed()
            if not request.skip_os_morphing:
                with worker_vm(site.destination, ground, run.label(Purpose.MORPHING)) as worker:
                    with attached(site.destination, worker, volumes):
                        morphed = morph_guest(worker, machine, volumes, wanted)
                        commit_changes(stage, run, worker, volumes, replica)
            disks = machine_volumes(stage, run, volumes, replica)
            label = run.label(Purpose.MACHINE)
            order = Order(stage.request, machine, disks, label, morphed.os_id)
            final = design_machine(stage.site, stage.ground, order)
            final = furnish_machine(stage.site, stage.ground, order, final)
            define_machine(site, transfer, final)
            proof = bring_up(stage, run, final.name, morphed)
            report = deploy_report(stage, run, machine, final, morphed, proof)
        record_deployment(site, request, run, report)
    return publish_deployment(report)
