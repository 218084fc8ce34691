# SPDX-License-Identifier: Apache-2.0
"""Turn a replica into a running machine."""

from prefect import flow

from tasks.deployments import (
    check_deployment,
    define_machine,
    deploy_report,
    deployment,
    design_machine,
    find_replica,
    record_deployment,
)
from tasks.machines import bring_up
from tasks.morphs import morph_guest
from tasks.reports import publish_deployment
from tasks.site import load_site, survey
from tasks.volumes import deployed_volumes
from tasks.workers import attached, worker_vm
from tradewind.model.label import Purpose
from tradewind.model.report import DeployReport, Morphed
from tradewind.model.requests import DeployRequest


@flow(flow_run_name="deploy-{request.machine}")
def deploy(request: DeployRequest) -> DeployReport:
    """Clone the replica, adapt the guest, define the machine, and prove that it boots."""
    site = load_site(request)
    transfer = find_replica(site, request)
    machine = transfer.machine
    ground = survey(site, len(machine.disks))
    replica = check_deployment(site, request, transfer, ground)
    with deployment(site, transfer) as run:
        volumes = deployed_volumes(site, request, run, machine, replica)
        morphed = Morphed()
        if not request.skip_os_morphing:
            with worker_vm(site.destination, ground, run.label(Purpose.MORPHING)) as worker:
                with attached(site.destination, worker, volumes):
                    morphed = morph_guest(worker, machine, volumes, site.options)
        final = design_machine(site, request, transfer, ground, run, volumes)
        define_machine(site, transfer, final)
        proof = bring_up(site, request, final.name, agent_expected=morphed.agent_installed)
        report = deploy_report(request, run, machine, final, morphed, proof)
        record_deployment(site, request, run, report)
    return publish_deployment(report)
