# SPDX-License-Identifier: Apache-2.0
"""What can be said of a machine's volumes and of its new domain before anything is made."""

from collections.abc import Iterator, Sequence

import libvirt
from pydantic import SecretStr

from tradewind.domainxml import final_nics
from tradewind.host import facts
from tradewind.host.storage import volume_sync, volume_users
from tradewind.host.target import domain_plan, identity, objections
from tradewind.model.deploy import CLOSE_CONSOLE
from tradewind.model.finding import Finding, note, warning
from tradewind.model.machine import VirtualMachine
from tradewind.model.options import ProviderOptions
from tradewind.model.requests import DeployRequest
from tradewind.model.storage import ReplicaVolume, VolumePlan
from tradewind.units import human_size


def replica(
    connection: libvirt.virConnect,
    transfer: str,
    machine: VirtualMachine,
    known: Sequence[ReplicaVolume],
    placement: volume_sync.Placement,
) -> tuple[Finding, ...]:
    """Plan the volumes as a transfer would; raises what a transfer would refuse."""
    judged = volume_sync.judged_plan(
        connection, transfer, machine, known, placement, volume_users.ANY_RUN
    )
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


def target(
    connection: libvirt.virConnect,
    machine: VirtualMachine,
    request: DeployRequest,
    options: ProviderOptions,
    vnc_password: SecretStr | None = None,
) -> tuple[Finding, ...]:
    """Check what a deployment checks, raising what it would refuse; say what it leaves out."""
    surveyed = facts.survey(connection)
    suits = domain_plan.check(connection, machine, request, options, surveyed)
    modes = ", ".join(surveyed.cpu_modes) or "none"
    lacking = (
        note(
            sentence,
            "nothing has to be done; cpu_mode, cpu_features and cpu_migratable choose otherwise",
            f"virsh domcapabilities of {surveyed.hostname}: CPU modes {modes}",
        )
        for sentence in suits.cpu.shortfalls
    )
    offered = facts.for_machine(connection, surveyed, request.hardware.machine_type)
    twin = domain_plan.twin(machine, request, options, offered, suits)
    objected = objections.findings(connection, machine, twin, offered)
    shared = (
        warning(
            sentence,
            "switch the other machine off before this one starts, or map their NICs to different"
            " networks",
            f"virsh domiflist of the machines on {surveyed.hostname}",
        )
        for sentence in identity.shared_addresses(connection, machine)
    )
    groups = (
        warning(
            sentence,
            "name the port group in network_map (network:LAN/PORTGROUP), or define it there",
            f"virsh dumpxml {machine.name}: interface/source/@portgroup",
        )
        for sentence in final_nics.lost_groups(machine, twin)
    )
    return (*lacking, *objected, *shared, *groups, *_console(options, vnc_password))


def _console(options: ProviderOptions, password: SecretStr | None) -> Iterator[Finding]:
    """Say who would reach the VNC console; that the host's own qemu.conf closes it is not seen."""
    vnc = domain_plan.console(options, password)
    if vnc is not None and vnc.exposure:
        severity = warning if vnc.is_everywhere else note
        evidence = f"enable_vm_vnc_console is on, vnc_listen_address = {vnc.listen}"
        yield severity(vnc.exposure, CLOSE_CONSOLE, evidence)
