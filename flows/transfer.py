# SPDX-License-Identifier: Apache-2.0
"""One transfer execution: replica volumes up to date with their machine."""

from prefect import flow

from tasks.executions import execution, mark_written, record_replica, transfer_report
from tasks.reports import publish_transfer
from tasks.site import load_site, load_source, survey
from tasks.sources import inspect_machine, snapshot
from tasks.streams import start_writer, stream_disks
from tasks.volumes import plan_replica, reconcile_volumes
from tasks.workers import attached, worker_vm
from tradewind.model.label import Purpose
from tradewind.model.report import TransferReport
from tradewind.model.requests import TransferRequest


@flow(flow_run_name="transfer-{request.machine}")
def transfer(request: TransferRequest) -> TransferReport:
    """Bring the replica volumes on the destination host up to date with the source machine."""
    site = load_site(request)
    source = load_source(request, site.options)
    machine = inspect_machine(source, request.machine)
    ground = survey(site, len(machine.disks))
    with execution(site, request, machine) as run:
        plan = plan_replica(site, request, run, machine)
        volumes = reconcile_volumes(site, run, plan)
        with worker_vm(site.destination, ground, run.label(Purpose.TRANSFER)) as worker:
            with attached(site.destination, worker, volumes):
                writer = start_writer(worker, volumes)
                with snapshot(source, machine, run.id) as frozen:
                    mark_written(site, run, machine, volumes)
                    streamed = stream_disks(frozen, machine, volumes, writer)
        report = transfer_report(request, run, machine, plan, worker, streamed)
        record_replica(site, run, report)
    return publish_transfer(report)
