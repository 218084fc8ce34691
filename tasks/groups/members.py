# SPDX-License-Identifier: Apache-2.0
"""Steps that replicate a group of machines, each in a flow run of its own."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from prefect import Flow, State
from prefect.client.schemas.objects import StateType
from prefect.states import Failed

from tasks.environment import load_source
from tasks.groups.flow_processes import EndedRun, WantedFlowRun, run_each
from tasks.step import step
from tradewind.errors import TradewindError
from tradewind.ledger import Ledger, open_ledger
from tradewind.model.groups import GroupReport, GroupRequest, MachineOutcome, MachineState
from tradewind.model.ledger import ReplicaState, RunKind
from tradewind.model.machine import MachineSummary
from tradewind.model.options import ProviderOptions
from tradewind.model.report import TransferReport
from tradewind.sources.selection import choose

_STATES: Final = {
    StateType.COMPLETED: MachineState.UP_TO_DATE,
    StateType.CANCELLED: MachineState.CANCELLED,
    StateType.CRASHED: MachineState.CRASHED,
}
# What Prefect writes before an exception, and the exception's class.
_PREAMBLE: Final = re.compile(r"^(Flow run encountered an exception: )?(\w+(Error|Signal): )?")


class MachinesFailedError(TradewindError):
    """Some machines of a group were not brought up to date; `report` says which, and why."""

    report: GroupReport


@step("choose-machines-of-{request.source}")
def choose_machines(request: GroupRequest, options: ProviderOptions) -> tuple[MachineSummary, ...]:
    """Find the machines that are meant; refuse a word that fits none."""
    source = load_source(request, options)
    return choose(source.machines(), request.machines, request.source)


@step("transfer-each", retries=0)
def transfer_each(
    transfer: Flow[..., Any], request: GroupRequest, machines: Sequence[MachineSummary]
) -> list[EndedRun]:
    """Transfer the machines, as many at a time as the request says, each in a flow run."""
    asked = [
        WantedFlowRun(
            machine.name, {"request": request.transfer_of(machine).model_dump(mode="json")}
        )
        for machine in machines
    ]
    return run_each(transfer, asked, request.limit)


@step("sum-up-group")
def group_report(
    request: GroupRequest,
    options: ProviderOptions,
    machines: Sequence[MachineSummary],
    runs: Sequence[EndedRun],
    begun: datetime,
) -> GroupReport:
    """Put together what became of each machine."""
    with open_ledger(options.sqlite_database_file) as ledger:
        outcomes = _outcomes(ledger, request, machines, runs)
    ended = datetime.now(UTC)
    return GroupReport(
        source=request.source,
        destination=request.destination,
        ended=ended,
        seconds=(ended - begun).total_seconds(),
        outcomes=tuple(outcomes),
        lag_warning=request.lag_warning,
    )


def ended(report: GroupReport) -> GroupReport | State[Any]:
    """End the flow run as the machines' runs ended; a state, so that no traceback is told."""
    if not report.unfinished:
        return report
    error = MachinesFailedError(report.headline(), "each machine's flow run says more")
    error.report = report
    return Failed(message=f"{report.headline()}.", data=error)


def _outcomes(
    ledger: Ledger,
    request: GroupRequest,
    machines: Sequence[MachineSummary],
    runs: Sequence[EndedRun],
) -> list[MachineOutcome]:
    known = {replica.place: replica for replica in ledger.replicas()}
    return [
        _outcome(ledger, run, machine, known.get((request.source, request.destination, machine.id)))
        for machine, run in zip(machines, runs, strict=True)
    ]


def _outcome(
    ledger: Ledger, run: EndedRun, machine: MachineSummary, replica: ReplicaState | None
) -> MachineOutcome:
    state = _STATES.get(run.state, MachineState.FAILED)
    good = state is MachineState.UP_TO_DATE
    return MachineOutcome(
        machine=machine.name,
        state=state,
        flow_run=run.id,
        sent=_sent(ledger, replica) if good and replica else None,
        seconds=run.seconds,
        consistent=replica.consistent if replica else None,
        problem="" if good else first_sentence(run.message),
    )


def _sent(ledger: Ledger, replica: ReplicaState) -> int | None:
    known = ledger.find_transfer(replica.source, replica.destination, replica.machine_id)
    kind, report = ledger.last_report(known) or (None, "")
    # A deployment may have come in between.
    if kind is not RunKind.EXECUTION:
        return None
    return TransferReport.model_validate_json(report).sent


def first_sentence(message: str) -> str:
    """Cut a state's message down to what the error says first."""
    line = _PREAMBLE.sub("", message).splitlines()[0] if message else ""
    return line.partition(". ")[0].rstrip(".")
