# SPDX-License-Identifier: Apache-2.0
"""The events that automations wait for; docs/operate/watch.md lists them."""

from collections.abc import Mapping
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from prefect.events import emit_event

# An error of libvirt can be pages long, and an event is read by machines and sent by mail.
LONGEST: Final = 500
Fact = str | int | float | bool | None


def machine_resource(source: str, destination: str, machine: str) -> dict[str, str]:
    """Name a machine as events do: tradewind.vm.<source>.<machine>."""
    return {
        "prefect.resource.id": f"tradewind.vm.{source}.{machine}",
        "prefect.resource.name": machine,
        "tradewind.machine": machine,
        "tradewind.source": source,
        "tradewind.destination": destination,
    }


def group_resource(source: str, destination: str) -> dict[str, str]:
    """Name what a group is replicated between: tradewind.group.<source>.<destination>."""
    return {
        "prefect.resource.id": f"tradewind.group.{source}.{destination}",
        "prefect.resource.name": f"{source} → {destination}",
        "tradewind.source": source,
        "tradewind.destination": destination,
    }


def emit(
    event: str,
    resource: Mapping[str, str],
    facts: Mapping[str, Fact],
    *,
    flow_run: UUID,
    once: str,
) -> None:
    """Send an event that is about a flow run; of two with the same `once` the server takes one."""
    told = {key: fact[:LONGEST] if isinstance(fact, str) else fact for key, fact in facts.items()}
    emit_event(
        event,
        resource=dict(resource),
        related=[
            {
                "prefect.resource.id": f"prefect.flow-run.{flow_run}",
                "prefect.resource.role": "flow-run",
            }
        ],
        payload={**told, "flow_run": str(flow_run)},
        id=uuid5(NAMESPACE_URL, f"tradewind:{flow_run}:{once}"),
    )
