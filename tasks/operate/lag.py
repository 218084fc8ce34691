# SPDX-License-Identifier: Apache-2.0
"""Steps that look how far replicas are behind their machines, and warn when it is too far."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from prefect.logging import get_run_logger
from prefect.runtime import flow_run as own_run

from tasks.environment import Environment
from tasks.operate.events import emit, machine_resource
from tasks.step import step
from tradewind.ledger import Ledger
from tradewind.model.groups import GroupReport
from tradewind.model.ledger import is_late, lag
from tradewind.model.machine import VirtualMachine
from tradewind.model.requests import TransferRequest
from tradewind.reports.lag import lateness

EVENT: Final = "tradewind.transfer.late"


@step("look-at-lag-of-{machine.name}")
def look_at_lag(env: Environment, request: TransferRequest, machine: VirtualMachine) -> None:
    """Warn when the replica is too far behind before this execution: earlier ones were missed."""
    with env.ledger() as ledger:
        _warn_of(ledger, request, machine)


@step("warn-of-late-replicas")
def warn_of_late(report: GroupReport) -> GroupReport:
    """Warn of each replica of a group that is too far behind."""
    _warn_of_group(report)
    return report


def _warn_of(ledger: Ledger, request: TransferRequest, machine: VirtualMachine) -> None:
    """Say nothing of a replica that was never made: this is what makes it."""
    source, destination, accepted = request.source, request.destination, request.lag_warning
    if accepted is None:
        return
    for replica in ledger.replicas():
        if (source, destination, machine.id) == replica.place:
            behind = lag(replica.consistent, datetime.now(UTC))
            if behind is not None and is_late(behind, accepted):
                _warn(source, destination, machine.name, behind, accepted)


def _warn_of_group(report: GroupReport) -> None:
    for outcome in report.outcomes:
        behind = lag(outcome.consistent, report.ended)
        if is_late(behind, report.lag_warning):
            _warn(report.source, report.destination, outcome.machine, behind, report.lag_warning)


def _warn(
    source: str, destination: str, machine: str, behind: float | None, accepted: int | None
) -> None:
    get_run_logger().warning("The replica of %s %s.", machine, lateness(behind, accepted))
    emit(
        EVENT,
        machine_resource(source, destination, machine),
        {"lag_seconds": behind, "accepted_minutes": accepted},
        flow_run=UUID(own_run.get_id()),
        once=f"late {machine}",
    )
