# SPDX-License-Identifier: Apache-2.0
"""Turn a replica into a running machine."""

from prefect import flow

from tasks.deploy.handover import record_deployment
from tasks.deploy.machines import bring_up
from tasks.deploy.morphing import MorphRequest, load_guest_keys, morph_guest
from tasks.deploy.plan import (
    add_attachments,
    check_deployment,
    define_machine,
    deploy_report,
    find_replica,
    plan_domain,
)
from tasks.deploy.rehearsals import isolated_if_rehearsal
from tasks.deploy.run import deployment
from tasks.deploy.scripts import load_scripts
from tasks.environment import load_environment, survey
from tasks.operate.announcements import announced
from tasks.publish import publish_deployment
from tasks.transfer.volumes import commit_changes, machine_volumes, working_volumes
from tasks.transfer.workers import attached, worker_vm
from tradewind.host.target.domain_plan import DeploySpec
from tradewind.model.report import DeployReport, Morphed
from tradewind.model.requests import DeployRequest
from tradewind.model.run import Purpose


@announced
@flow(flow_run_name="{request.title}")
def deploy(request: DeployRequest) -> DeployReport:
    """Clone the replica, adapt the guest, define the machine, and prove that it boots.

    A rehearsal does the same on a network that nothing leaves, and takes everything away again.
    """
    env = load_environment(request)
    transfer = find_replica(env, request)
    machine = transfer.machine
    surveyed = survey(env, len(machine.disks))
    checked = check_deployment(env, request, transfer, surveyed)
    replica = checked.replica
    wanted = MorphRequest(env.options, request, load_guest_keys(request), load_scripts(request))
    with deployment(env, request, transfer) as run:
        with isolated_if_rehearsal(env, request, surveyed, run) as context:
            volumes = working_volumes(context, run, machine, replica)
            morphed = Morphed()
            if not request.skip_os_morphing:
                with worker_vm(env, surveyed, run.label(Purpose.MORPHING)) as worker:
                    with attached(env, worker, volumes):
                        morphed = morph_guest(worker, machine, volumes, wanted)
                        commit_changes(context, run, worker, volumes, replica)
            disks = machine_volumes(context, run, volumes, replica)
            label = run.label(Purpose.MACHINE)
            password = wanted.keys.vnc_password
            spec = DeploySpec(
                context.request, machine, disks, label, checked.suits, morphed.os_id, password
            )
            final = plan_domain(context.env, context.surveyed, spec)
            final = add_attachments(context.env, context.surveyed, spec, final)
            define_machine(env, transfer, final)
            proof = bring_up(context, run, final.name, morphed)
            report = deploy_report(context, run, machine, final, morphed, proof)
        record_deployment(env, request, run, report)
    return publish_deployment(report)
