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
    judged = reconcile.judged_plan(connection, transfer, machine, known, placement)
    return (*_planned(judged.plan), *judged.findings)


def _planned(plan: VolumePlan) -> Iterator[Finding]:
    if plan.create:
        size = human_size(sum(planned.volume.capacity for planned in plan.create))
        pools = ", ".join(sorted({planned.volume.pool for planned in plan.create}))
        yield note(
            f"{len(plan.create)} volumes of {size} would be made in {pools}",
            "to have them elsewhere, set storage_map or default_storage_pool",
            "; ".join(f"disk {planned.disk_id}: no volume yet" for planned in plan.create),
        )
    for planned in plan.delete:
        yield warning(
            f"the next transfer removes {planned.volume.name}: its disk is gone",
            "if it is still wanted, attach the disk again, or copy the volume before",
            f"the source has no disk at its place any more (now disk {planned.disk_id})",
        )


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
    modes = ", ".join(surveyed.cpu_modes) or "none"
    return tuple(
        note(
            sentence,
            "nothing has to be done; cpu_mode, cpu_features and cpu_migratable choose otherwise",
            f"virsh domcapabilities of {surveyed.hostname}: CPU modes {modes}",
        )
        for sentence in cpu.shortfalls
    )
