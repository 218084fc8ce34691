# SPDX-License-Identifier: Apache-2.0
"""One transfer execution: replica volumes up to date with their machine."""

from prefect import flow

from tasks.announcements import announced
from tasks.attempts import attempts
from tasks.bandwidth import load_limits
from tasks.executions import (
    execution,
    last_checkpoint,
    mark_written,
    record_replica,
    transfer_report,
)
from tasks.lag import look_at_lag
from tasks.missed_runs import stand_in_for_missed_runs
from tasks.reports import publish_transfer
from tasks.site import load_site, load_source, survey
from tasks.slots import slots
from tasks.sources import inspect_machine, retire_checkpoints, snapshot
from tasks.streams import start_writer, stream_disks
from tasks.volumes import plan_replica, reconcile_volumes, replica_volumes
from tasks.workers import attached, worker_vm
from tradewind.model.label import Purpose
from tradewind.model.report import TransferReport
from tradewind.model.requests import TransferRequest


@announced
@flow(flow_run_name="transfer-{request.machine}")
def transfer(request: TransferRequest) -> TransferReport:
    """Bring the replica volumes on the destination host up to date with the source machine."""
    stand_in_for_missed_runs()
    site = load_site(request)
    source = load_source(request, site.options)
    limits = load_limits(request, site.options)
    machine = inspect_machine(source, request.machine)
    ground = survey(site, len(machine.disks))
    look_at_lag(site, request, machine)
    with slots(request), execution(site, source, request, machine) as run:
        plan = plan_replica(site, request, run, machine)
        reconcile_volumes(site, run, plan)
        for attempt in attempts():
            with attempt:
                volumes = replica_volumes(site, run.transfer)
                since = last_checkpoint(site, run, machine, volumes)
                with worker_vm(site.destination, ground, run.label(Purpose.TRANSFER)) as worker:
                    with attached(site.destination, worker, volumes):
                        writer = start_writer(site, worker, volumes)
                        with snapshot(source, request, machine, run, since) as frozen:
                            mark_written(site, run, machine, volumes)
                            streamed = stream_disks(frozen, machine, volumes, writer, limits)
        report = transfer_report(request, run, machine, plan, worker, streamed)
        record_replica(site, run, report, streamed)
        retire_checkpoints(source, machine, run, streamed.checkpoint)
    return publish_transfer(report)
