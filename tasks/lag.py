# SPDX-License-Identifier: Apache-2.0
"""Steps that look how far replicas are behind their machines, and warn when it is too far."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from prefect.logging import get_run_logger
from prefect.runtime import flow_run as own_run

from tasks.events import emit, machine_resource
from tasks.site import Site
from tasks.step import step
from tradewind.ledger import Ledger, open_ledger
from tradewind.model.groups import GroupReport
from tradewind.model.machine import VirtualMachine
from tradewind.model.replica import is_late, lag
from tradewind.model.requests import TransferRequest
from tradewind.units import human_duration

EVENT: Final = "tradewind.transfer.late"


@step("look-at-lag-of-{machine.name}")
def look_at_lag(site: Site, request: TransferRequest, machine: VirtualMachine) -> None:
    """Warn when the replica is too far behind before this execution: earlier ones were missed."""
    with open_ledger(site.options.sqlite_database_file) as ledger:
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


def lateness(behind: float | None, accepted: int | None) -> str:
    """Say how far a replica is behind, and how far it may be."""
    if behind is None:
        return "equals no point in time of its machine yet"
    may = human_duration((accepted or 0) * 60)
    return f"is {human_lag(behind)} behind its machine; {may} are accepted"


def human_lag(behind: float | None) -> str:
    """Say how far a replica is behind: "3 h 05 min", "2 d 4 h", or that there is none."""
    if behind is None:
        return "no replica"
    hours = int(behind // 3600)
    return f"{hours // 24} d {hours % 24} h" if hours >= 48 else human_duration(behind)
