# SPDX-License-Identifier: Apache-2.0
"""One transfer execution: replica volumes up to date with their machine."""

from contextlib import nullcontext

from prefect import flow

from flows.replicate_once import Replication, replicate_once
from tasks.environment import load_environment, load_source, survey
from tasks.operate.announcements import announced
from tasks.operate.lag import look_at_lag
from tasks.operate.missed_runs import skip_missed_runs
from tasks.publish import publish_transfer
from tasks.transfer.bandwidth import load_limits
from tasks.transfer.slots import slots
from tasks.transfer.sources import inspect_machine, require_readable, retire_checkpoints
from tradewind.model.report import TransferReport
from tradewind.model.requests import TransferRequest


@announced
@flow(flow_run_name="transfer-{request.machine}")
def transfer(request: TransferRequest) -> TransferReport:
    """Bring the replica volumes on the destination host up to date with the source machine."""
    skip_missed_runs()
    env = load_environment(request)
    source = load_source(request, env.options)
    limits = load_limits(request, env.options)
    machine = inspect_machine(source, request.machine)
    require_readable(machine)
    surveyed = survey(env, len(machine.disks))
    look_at_lag(env, request, machine)
    with slots(request):
        what = Replication(env, source, request, limits, surveyed)
        done = replicate_once(what, machine, lambda _run: nullcontext(machine))
        retire_checkpoints(source, machine, done.run, done.streamed.checkpoint)
    return publish_transfer(done.report)
