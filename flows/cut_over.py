# SPDX-License-Identifier: Apache-2.0
"""What a move does while the machine is away, for the flows that begin or take up an outage."""

from dataclasses import dataclass
from functools import partial

from flows.deploy import deploy
from flows.replicate_once import Replicated, Replication, replicate_once
from tasks.environment import survey
from tasks.move.cutover import Cutover, release, shut_off
from tasks.transfer.bandwidth import load_limits
from tradewind.model.report import DeployReport


@dataclass(frozen=True, slots=True)
class CutoverResult:
    """What the outage came to: its last transfer, and the deployment."""

    last: Replicated
    deployed: DeployReport


def cut_over(cutover: Cutover) -> CutoverResult:
    """Shut the machine down when the worker is ready, send the last changes, and deploy."""
    env, machine, request = cutover.env, cutover.machine, cutover.request.transfer
    limits = load_limits(request, env.options)
    surveyed = survey(env, len(machine.disks))
    what = Replication(env, cutover.source, request, limits, surveyed)
    last = replicate_once(what, machine, partial(shut_off, cutover))
    deployed = deploy(release(cutover))
    cutover.clock.deployed(deployed)
    return CutoverResult(last, deployed)
