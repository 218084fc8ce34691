# SPDX-License-Identifier: Apache-2.0
"""The replicas of a group of machines up to date, each machine in a flow run of its own."""

from datetime import UTC, datetime
from typing import Any

from prefect import State, flow

from flows.transfer import transfer
from tasks.environment import load_options
from tasks.groups.members import choose_machines, ended, group_report, transfer_each
from tasks.operate.announcements import announced
from tasks.operate.lag import warn_of_late
from tasks.operate.missed_runs import skip_missed_runs
from tasks.publish import publish_group
from tradewind.model.groups import GroupReport, GroupRequest


@announced
@flow(flow_run_name="replicate-{request.source}-to-{request.destination}")
def replicate(request: GroupRequest) -> GroupReport | State[Any]:
    """Bring the replicas of a group of machines up to date; one that fails stops no other."""
    begun = datetime.now(UTC)
    skip_missed_runs()
    options = load_options(request.options).with_overrides(request.overrides)
    machines = choose_machines(request, options)
    runs = transfer_each(transfer, request, machines)
    report = group_report(request, options, machines, runs, begun)
    warn_of_late(publish_group(report))
    return ended(report)
