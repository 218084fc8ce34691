# SPDX-License-Identifier: Apache-2.0
"""What the end of a flow run tells: an event, and the page of its machine; however it ends.

Prefect calls these hooks in the flow's own process, or, for one that was cancelled or killed, in
another one that its worker starts. Nothing of the flow's memory is there: what they say comes from
the run's parameters, its state and the ledger. A machine that lost its power calls nobody; the
automation tradewind-zombie marks its runs, and Prefect's own event tells of them.
"""

from collections.abc import Mapping
from typing import Any, Final, ParamSpec, TypeVar

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from pydantic import ValidationError

from tasks.operate.events import Fact, emit, group_resource, machine_resource
from tasks.operate.machine_pages import publish_page
from tradewind.model.cutover import MoveName, SettledMove
from tradewind.model.groups import GroupReport, GroupRequest
from tradewind.model.migrate import MigrateReport, MigrateRequest
from tradewind.model.report import DeployReport, TransferReport
from tradewind.model.requests import DeployRequest, TransferRequest

P = ParamSpec("P")
R = TypeVar("R")
Request = TransferRequest | DeployRequest | MigrateRequest | GroupRequest | MoveName

REQUESTS: Final[Mapping[str, type[Request]]] = {
    "transfer": TransferRequest,
    "deploy": DeployRequest,
    "migrate": MigrateRequest,
    "replicate": GroupRequest,
    "resume-move": MoveName,
    "roll-back-move": MoveName,
}


def announced(flow: Flow[P, R]) -> Flow[P, R]:
    """Let a flow tell how it ended."""
    for register in (
        flow.on_completion,
        flow.on_failure,
        flow.on_cancellation,
        flow.on_crashed,
    ):
        register(announce)
    return flow


def announce(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Send the event of a run's end, and bring its machine's page up to date."""
    request = _request(flow.name, flow_run.parameters)
    if request is None:  # it was refused for its parameters, and names nothing
        return
    end = _last_word(flow_run, state)
    word = "rehearse" if isinstance(request, DeployRequest) and request.rehearse else flow.name
    facts = {"state": end.name, "message": end.message or "", **facts_of(end)}
    emit(
        f"tradewind.{word}.{_outcome(end)}",
        _resource(request),
        facts,
        flow_run=flow_run.id,
        once=f"end of run {flow_run.run_count}",
    )
    if not isinstance(request, GroupRequest):
        publish_page(_about(request), flow_run.id)


def _request(flow: str, parameters: Mapping[str, Any]) -> Request | None:
    try:
        return REQUESTS[flow].model_validate(parameters.get("request"))
    except ValidationError:
        return None


def _about(request: TransferRequest | DeployRequest | MigrateRequest | MoveName) -> Any:
    return request.transfer if isinstance(request, MigrateRequest) else request


def _resource(request: Request) -> dict[str, str]:
    if isinstance(request, GroupRequest):
        return group_resource(request.source, request.destination)
    about = _about(request)
    return machine_resource(about.source, about.destination, about.machine)


def _last_word(flow_run: FlowRun, state: State[Any]) -> State[Any]:
    """Take a process that was told to end by a cancellation for cancelled, not for crashed."""
    if not state.is_crashed():
        return state
    with get_client(sync_client=True) as client:
        known = client.read_flow_run(flow_run.id).state
    return known if known and (known.is_cancelling() or known.is_cancelled()) else state


def _outcome(state: State[Any]) -> str:
    if state.is_completed():
        return "completed"
    return "cancelled" if state.is_cancelled() or state.is_cancelling() else "failed"


def facts_of(state: State[Any]) -> dict[str, Fact]:
    """Return what a run that ended well came to."""
    report = state.result(raise_on_failure=False) if state.is_completed() else None
    match report:
        case TransferReport():
            return {"sent": report.sent, "full": report.full, "seconds": report.seconds}
        case DeployReport():
            return {"domain": report.domain, "booted": report.proof is not None}
        case MigrateReport():
            return {"outage_seconds": report.outage_seconds}
        case SettledMove():
            return {"end": report.end}
        case GroupReport():
            return {"machines": len(report.outcomes), "unfinished": len(report.unfinished)}
        case _:
            return {}
