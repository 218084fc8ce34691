# SPDX-License-Identifier: Apache-2.0
"""Steps that move the bytes."""

import threading
import time
from collections.abc import Sequence

from prefect.logging import get_run_logger
from prefect.runtime import task_run

from tasks.environment import Environment
from tasks.step import step
from tasks.transfer.bandwidth import BandwidthLimits, bandwidth
from tasks.transfer.progress import ProgressArtifacts
from tradewind.model.host import Worker, WriterAccess
from tradewind.model.machine import VirtualMachine
from tradewind.model.report import Streamed
from tradewind.model.storage import ReplicaVolume
from tradewind.ports import Snapshot
from tradewind.remote import shell
from tradewind.streaming.copy import copy_disks
from tradewind.streaming.jobs import jobs_for
from tradewind.streaming.launch import start_writer as launch


@step("start-writer-{worker.domain}")
def start_writer(
    env: Environment, worker: Worker, volumes: Sequence[ReplicaVolume]
) -> WriterAccess:
    """Start the writer service in the worker, reachable for this run only."""
    with shell.connect_to_worker(worker) as remote:
        access = launch(remote, worker, volumes, env.options.data_transfer_mechanism)
    if access.exposure:
        get_run_logger().warning("%s", access.exposure)
    return access


@step("stream-{machine.name}", retries=1, in_main_thread=True)
def stream_disks(
    frozen: Snapshot,
    machine: VirtualMachine,
    volumes: Sequence[ReplicaVolume],
    access: WriterAccess,
    limits: BandwidthLimits,
) -> Streamed:
    """Move what differs, all disks in parallel; flush it, and prove it on the destination.

    In the main thread, which hears a signal: it then ends the threads that copy.
    """
    begun = time.monotonic()
    # What an earlier attempt wrote is compared and not sent again.
    again = (task_run.run_count or 1) > 1
    targets = [
        volume.model_copy(
            update={"blank": volume.blank and not again, "exact": volume.exact and not again}
        )
        for volume in volumes
    ]
    with bandwidth(limits) as limited:
        jobs = jobs_for(frozen, machine, targets, access, limited)
        disks = copy_disks(jobs, threading.Event(), ProgressArtifacts(machine.name))
    return Streamed(
        consistency=frozen.consistency,
        moment=frozen.moment,
        checkpoint=frozen.checkpoint,
        tracking=tuple(frozen.tracking(disk) for disk in machine.disks),
        disks=tuple(disks),
        seconds=time.monotonic() - begun,
        notes=(*frozen.notes, *filter(None, [access.exposure])),
    )
