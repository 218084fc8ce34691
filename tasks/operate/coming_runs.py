# SPDX-License-Identifier: Apache-2.0
"""The step that refuses to remove what a schedule would make anew."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.responses import DeploymentResponse
from pydantic import ValidationError

from tasks.environment import open_source
from tasks.step import step
from tradewind.errors import BusyError, ConnectionFailedError, NotFoundError
from tradewind.model.groups import GroupRequest
from tradewind.model.ledger import Transfer
from tradewind.model.machine import MachineSummary
from tradewind.model.options import ProviderOptions
from tradewind.sources.selection import is_meant

# The flows that make replicas; each has its parameters in `request`.
_MAKERS: Final = ("transfer", "replicate", "migrate")
_PAGE: Final = 200  # Prefect gives away no more at a time


@step("look-for-schedules-of-{transfer.machine.name}")
def refuse_scheduled(transfer: Transfer, options: ProviderOptions) -> None:
    """Refuse to go on when an active schedule would make the replica anew."""
    with get_client(sync_client=True) as client:
        _refuse(transfer, options, _deployments(client))


def _refuse(
    transfer: Transfer, options: ProviderOptions, deployments: Sequence[DeploymentResponse]
) -> None:
    due = [
        each.name
        for each in deployments
        if any(_makes(asked, transfer, options) for asked in _active_requests(each))
    ]
    if due:
        raise BusyError(
            f"the replica of {transfer.machine.name} would be made anew by schedule"
            f" {', '.join(due)}",
            f"first: tradewind schedule pause {due[0]} (or remove)",
        )


def _deployments(client: SyncPrefectClient) -> list[DeploymentResponse]:
    found: list[DeploymentResponse] = []
    makers = FlowFilter(name=FlowFilterName(any_=list(_MAKERS)))
    while page := client.read_deployments(flow_filter=makers, limit=_PAGE, offset=len(found)):
        found.extend(page)
    return found


def _active_requests(deployment: DeploymentResponse) -> Iterator[dict[str, Any]]:
    """List what the active schedules of a deployment ask for; their own parameters go first."""
    if deployment.paused:
        return
    for schedule in deployment.schedules:
        asked = {**deployment.parameters, **schedule.parameters}.get("request")
        if schedule.active and isinstance(asked, dict):
            yield asked.get("transfer", asked)  # a move has a transfer in it


def _makes(asked: dict[str, Any], transfer: Transfer, options: ProviderOptions) -> bool:
    machine = transfer.machine
    if (asked.get("source"), asked.get("destination")) != (transfer.source, transfer.destination):
        return False
    if "machines" not in asked:
        return asked.get("machine") in {machine.id, machine.name}
    try:
        group = GroupRequest.model_validate(asked)
    except ValidationError:
        return False  # its runs end at once
    summary = MachineSummary(id=machine.id, name=machine.name, power=machine.power)
    return is_meant(summary, group.machines) or _bears_a_tag(summary, group, options)


def _bears_a_tag(machine: MachineSummary, group: GroupRequest, options: ProviderOptions) -> bool:
    """Ask the source; while it does not answer, what it says later is not known."""
    if not group.machines.tags:
        return False
    try:
        source = open_source(group.source_kind, group.source, options)
        return any(
            each.id == machine.id and is_meant(each, group.machines) for each in source.machines()
        )
    except NotFoundError:
        return False
    except ConnectionFailedError:
        return True
