# SPDX-License-Identifier: Apache-2.0
"""Undo a move whose process died in its outage: the original runs again."""

from prefect import flow

from tasks.environment import load_environment, load_source
from tasks.move.unfinished import refuse_behind_the_point, roll_back, take_over, taken_up
from tasks.operate.announcements import announced
from tasks.publish import publish_settled
from tradewind.model.cutover import MoveName, SettledMove


@announced
@flow(flow_run_name="roll-back-move-{request.machine}")
def roll_back_move(request: MoveName) -> SettledMove:
    """Start the original where it was, once the new machine is proven gone or shut off."""
    outage = take_over(load_environment(request).options, request)
    refuse_behind_the_point(outage)
    env = load_environment(outage.request.transfer)
    source = load_source(outage.request.transfer, env.options)
    return publish_settled(roll_back(taken_up(env, source, outage), outage, request))
