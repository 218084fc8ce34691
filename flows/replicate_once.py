# SPDX-License-Identifier: Apache-2.0
"""Bring a replica to one point in time of its machine: what transfers and moves have in common."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tasks.attempts import attempts
from tasks.environment import DestinationContext, Environment
from tasks.transfer.bandwidth import BandwidthLimits
from tasks.transfer.executions import (
    execution,
    last_checkpoint,
    mark_written,
    record_replica,
    transfer_report,
)
from tasks.transfer.sources import snapshot
from tasks.transfer.streams import start_writer, stream_disks
from tasks.transfer.volumes import plan_replica, reconcile_volumes, replica_volumes
from tasks.transfer.workers import attached, worker_vm
from tradewind.model.machine import VirtualMachine
from tradewind.model.report import Streamed, TransferReport
from tradewind.model.requests import TransferRequest
from tradewind.model.run import Purpose, Run
from tradewind.ports import DataSource


@dataclass(frozen=True, slots=True)
class Replication:
    """Where a machine is replicated from and to, and how fast."""

    env: Environment
    source: DataSource
    request: TransferRequest
    limits: BandwidthLimits
    surveyed: DestinationContext


@dataclass(frozen=True, slots=True)
class Replicated:
    """What an execution came to."""

    run: Run
    streamed: Streamed
    report: TransferReport


def replicate_once(
    what: Replication,
    machine: VirtualMachine,
    at_its_moment: Callable[[Run], AbstractContextManager[VirtualMachine]],
) -> Replicated:
    """Run one execution.

    `at_its_moment` lends the machine as it is read, when all else is ready: running, or shut down.
    """
    env, source, request = what.env, what.source, what.request
    with execution(env, source, request, machine) as run:
        plan = plan_replica(env, request, run, machine)
        reconcile_volumes(env, run, plan)
        for attempt in attempts():
            with attempt:
                volumes = replica_volumes(env, run.transfer)
                since = last_checkpoint(env, run, machine, volumes)
                with worker_vm(env, what.surveyed, run.label(Purpose.TRANSFER)) as worker:
                    with attached(env, worker, volumes):
                        writer = start_writer(env, worker, volumes)
                        with at_its_moment(run) as now:
                            with snapshot(source, request, now, run, since) as frozen:
                                mark_written(env, run, now, volumes)
                                streamed = stream_disks(frozen, now, volumes, writer, what.limits)
        report = transfer_report(request, run, now, plan, worker, streamed)
        record_replica(env, run, report, streamed)
    return Replicated(run, streamed, report)
