# SPDX-License-Identifier: Apache-2.0
"""What can be said of a machine's volumes and of its new domain before anything is made."""

from collections.abc import Iterator, Sequence

import libvirt

from tradewind.domainxml.cpu import choose_cpu
from tradewind.host import design, facts, reconcile
from tradewind.model.deploy_request import DeployRequest
from tradewind.model.finding import Finding, note, warning
from tradewind.model.machine import VirtualMachine
from tradewind.model.options import ProviderOptions
from tradewind.model.storage import ReplicaVolume, VolumePlan
from tradewind.units import human_size


def replica(
    connection: libvirt.virConnect,
    transfer: str,
    machine: VirtualMachine,
    known: Sequence[ReplicaVolume],
    placement: reconcile.Placement,
) -> tuple[Finding, ...]:
    """Plan the volumes as a transfer would; raises what a transfer would refuse."""
    plan = reconcile.plan_on_host(connection, transfer, machine, known, placement)
    return (*_planned(plan), *(warning(sentence) for sentence in plan.notes))


def _planned(plan: VolumePlan) -> Iterator[Finding]:
    if plan.create:
        size = human_size(sum(planned.volume.capacity for planned in plan.create))
        pools = ", ".join(sorted({planned.volume.pool for planned in plan.create}))
        yield note(f"{len(plan.create)} volumes of {size} would be made in {pools}")
    for planned in plan.delete:
        yield warning(f"the next transfer removes {planned.volume.name}: its disk is gone")


def arrival(
    connection: libvirt.virConnect,
    machine: VirtualMachine,
    request: DeployRequest,
    options: ProviderOptions,
) -> tuple[Finding, ...]:
    """Check what a deployment checks, raising what it would refuse; say what it leaves out."""
    surveyed = facts.survey(connection)
    design.check(connection, machine, request, options, surveyed)
    cpu = choose_cpu(options.cpu_mode, options.cpu_migratable, options.cpu_features, surveyed)
    return tuple(note(sentence) for sentence in cpu.shortfalls)
