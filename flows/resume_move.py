# SPDX-License-Identifier: Apache-2.0
"""Finish a move whose process died in its outage."""

from prefect import flow

from flows.cut_over import cut_over
from tasks.environment import load_environment, load_source
from tasks.move.outage_end import restart_source_on_failure
from tasks.move.unfinished import (
    clear,
    finish_deploy,
    has_landed,
    require_off,
    settled,
    take_over,
    taken_up,
)
from tasks.operate.announcements import announced
from tasks.publish import publish_settled
from tradewind.model.cutover import MoveName, SettledMove
from tradewind.model.outage import OutageEnd


@announced
@flow(flow_run_name="resume-move-{request.machine}")
def resume_move(request: MoveName) -> SettledMove:
    """Finish an outage: with the new machine that is there, else by sending and deploying again."""
    outage = take_over(load_environment(request).options, request)
    env = load_environment(outage.request.transfer)
    source = load_source(outage.request.transfer, env.options)
    cutover = taken_up(env, source, outage)
    require_off(cutover, outage, request)
    if has_landed(env, outage):
        finish_deploy(cutover, outage)
    else:
        with restart_source_on_failure(clear(cutover, outage)) as again:
            cut_over(again)
    return publish_settled(settled(outage, OutageEnd.MOVED))
