# SPDX-License-Identifier: Apache-2.0
"""Move a machine: replicate while it runs, ask, shut it down, send the rest, start it there."""

from prefect import flow

from flows.deploy import deploy
from flows.transfer import transfer
from tasks.announcements import announced
from tasks.attempts import attempts
from tasks.bandwidth import load_limits
from tasks.cutover import approach, check_landing, keep_off, migrate_report, shut_down, way_back
from tasks.executions import (
    execution,
    last_checkpoint,
    mark_written,
    record_replica,
    transfer_report,
)
from tasks.morphs import load_guest_keys
from tasks.move_reports import publish_migration
from tasks.reports import publish_transfer
from tasks.site import load_site, load_source, survey
from tasks.sources import inspect_machine, retire_checkpoints, snapshot
from tasks.streams import start_writer, stream_disks
from tasks.volumes import plan_replica, reconcile_volumes, replica_volumes
from tasks.workers import attached, worker_vm
from tradewind.model.label import Purpose
from tradewind.model.migrate import MigrateReport, MigrateRequest


@announced
@flow(flow_run_name="migrate-{request.transfer.machine}")
def migrate(request: MigrateRequest) -> MigrateReport:
    """Move a machine with an outage of shutdown, last changes, and deployment."""
    site = load_site(request.transfer)
    source = load_source(request.transfer, site.options)
    ground = survey(site, 0)
    load_guest_keys(request.landing)  # a name that nothing has is refused before the outage
    check_landing(site, request, inspect_machine(source, request.machine), ground)
    near = approach(request, transfer)

    machine = inspect_machine(source, request.machine)
    limits = load_limits(request.transfer, site.options)
    ground = survey(site, len(machine.disks))
    with way_back(source, machine, request) as outage:
        with execution(site, source, request.transfer, machine) as run:
            plan = plan_replica(site, request.transfer, run, machine)
            reconcile_volumes(site, run, plan)
            for attempt in attempts():
                with attempt:
                    volumes = replica_volumes(site, run.transfer)
                    since = last_checkpoint(site, run, machine, volumes)
                    label = run.label(Purpose.TRANSFER)
                    with worker_vm(site.destination, ground, label) as worker:
                        with attached(site.destination, worker, volumes):
                            writer = start_writer(site, worker, volumes)
                            off = shut_down(outage, source, machine, request)
                            with snapshot(source, request.transfer, off, run, since) as frozen:
                                mark_written(site, run, off, volumes)
                                streamed = stream_disks(frozen, off, volumes, writer, limits)
                            outage.passed("last changes")
            last = transfer_report(request.transfer, run, off, plan, worker, streamed)
            record_replica(site, run, last, streamed)
        outage.passed("releasing the replica")
        deployed = deploy(request.deployment())
        outage.deployed(deployed)
    notes = (keep_off(source, machine),)
    retire_checkpoints(source, machine, run, streamed.checkpoint)
    publish_transfer(last)
    return publish_migration(migrate_report(request, near, outage, last, deployed, notes))
