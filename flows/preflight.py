# SPDX-License-Identifier: Apache-2.0
"""Look at everything that a move needs, and change nothing."""

from prefect import flow

from tasks.preflight_reports import publish_preflight
from tasks.preflights import (
    look_at_destination,
    look_at_machine,
    look_at_move,
    preflight_report,
)
from tasks.site import load_site, load_source
from tradewind.model.preflight import PreflightReport, PreflightRequest


@flow(flow_run_name="preflight-{request.transfer.machine}")
def preflight(request: PreflightRequest) -> PreflightReport:
    """Say everything at once that would keep a machine from moving; nothing is changed."""
    site = load_site(request.transfer)
    source = load_source(request.transfer, site.options)
    destination = look_at_destination(site)
    found = look_at_machine(source, request)
    move = look_at_move(site, request, found.machine)
    return publish_preflight(preflight_report(request, (*destination, *found.seen, *move)))
