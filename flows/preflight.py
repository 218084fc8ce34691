# SPDX-License-Identifier: Apache-2.0
"""Look at everything that a move needs, and change nothing."""

from prefect import flow

from tasks.environment import load_environment, load_source
from tasks.preflight.findings import (
    look_at_destination,
    look_at_machine,
    look_at_move,
    preflight_report,
)
from tasks.publish import publish_preflight
from tradewind.model.preflight import PreflightReport, PreflightRequest


@flow(flow_run_name="preflight-{request.transfer.machine}")
def preflight(request: PreflightRequest) -> PreflightReport:
    """Say everything at once that would keep a machine from moving; nothing is changed."""
    env = load_environment(request.transfer)
    source = load_source(request.transfer, env.options)
    destination = look_at_destination(env)
    found = look_at_machine(source, request)
    move = look_at_move(env, request, found.machine, destination)
    return publish_preflight(preflight_report(request, (*destination, *found.seen, *move)))
