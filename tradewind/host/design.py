# SPDX-License-Identifier: Apache-2.0
"""Decide what the final machine will be, before anything is made."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import libvirt

from tradewind.domainxml.cpu import choose_cpu
from tradewind.domainxml.final import console_log_path
from tradewind.errors import BadInputError, OptionError
from tradewind.host import demands, domains, networks, storage, validate
from tradewind.host.facts import for_machine
from tradewind.model.deploy import CpuChoice, FinalDisk, FinalDomain, FinalNic, Vnc
from tradewind.model.deploy_request import DeployRequest
from tradewind.model.hardware import Autostart, Hardware
from tradewind.model.host import HostFacts
from tradewind.model.label import Label
from tradewind.model.machine import Nic, VirtualMachine
from tradewind.model.network import NetworkMap
from tradewind.model.options import ProviderOptions
from tradewind.model.storage import ReplicaVolume


def check(
    connection: libvirt.virConnect,
    machine: VirtualMachine,
    request: DeployRequest,
    options: ProviderOptions,
    facts: HostFacts,
) -> None:
    """Raise everything at once that would keep the machine from being defined."""
    chosen = request.hardware
    # All else depends on the machine type.
    facts = for_machine(connection, facts, chosen.machine_type)
    validate.require_all(
        [
            lambda: _require_free_name(connection, final_name(request, machine)),
            *(partial(demand, machine, chosen, facts) for demand in demands.ALL),
            lambda: _require_tpm(options, facts),
            lambda: _cpu(options, facts),
            *_network_checks(connection, machine, request, facts),
        ]
    )


def _network_checks(
    connection: libvirt.virConnect,
    machine: VirtualMachine,
    request: DeployRequest,
    facts: HostFacts,
) -> list[Callable[[], object]]:
    """See that every NIC has its network; in a rehearsal all of them have the isolated one."""
    if not request.rehearse:
        return [partial(map_nic, nic, request.network_map, facts) for nic in machine.nics]
    named = request.rehearsal_network
    return [] if named is None else [partial(networks.require_isolated, connection, named)]


def final_name(request: DeployRequest, machine: VirtualMachine) -> str:
    """Name the new machine: as asked, else as on its source; a rehearsal's by its own name."""
    return request.name or (f"{machine.name}-rehearsal" if request.rehearse else machine.name)


def map_nic(nic: Nic, mapping: NetworkMap, facts: HostFacts) -> FinalNic:
    """Plug a NIC into what the map says; its MAC address stays."""
    plug = mapping.plug_of(nic)
    demands.require_plug(nic, plug, facts)
    return FinalNic(mac=nic.mac, plug=plug)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the final machine is put together from, all of it on the destination."""

    name: str
    disks: tuple[FinalDisk, ...]
    nics: tuple[FinalNic, ...]
    label: Label
    uuid: str | None = None
    origin: str = ""
    os_id: str | None = None
    autostart: bool = False
    hardware: Hardware = field(default_factory=Hardware)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made of which volumes; `os_id` is what was found on them."""

    request: DeployRequest
    machine: VirtualMachine
    volumes: Sequence[ReplicaVolume]
    label: Label
    os_id: str | None = None


def compose(
    connection: libvirt.virConnect, order: Order, options: ProviderOptions, facts: HostFacts
) -> FinalDomain:
    """Decide all of the final machine, with what the host has now."""
    request, machine = order.request, order.machine
    chosen, notes = _uuid(connection, machine, request.hardware)
    parts = Parts(
        name=final_name(request, machine),
        disks=final_disks(connection, order.volumes),
        nics=tuple(map_nic(nic, request.network_map, facts) for nic in machine.nics),
        label=order.label,
        uuid=chosen,
        origin=f"Moved here by Tradewind: {machine.name} of {request.source}.",
        os_id=order.os_id,
        autostart=_autostart(request, machine),
        hardware=request.hardware,
        notes=notes,
    )
    facts = for_machine(connection, facts, request.hardware.machine_type)
    return final_machine(parts, options, facts)


def final_machine(parts: Parts, options: ProviderOptions, facts: HostFacts) -> FinalDomain:
    """Apply the options to the machine; what the host cannot give is in its shortfalls."""
    log = console_log_path(options.vm_console_log_dir, parts.name)
    return FinalDomain(
        name=parts.name,
        kvm=facts.kvm,
        machine_type=facts.machine_type,
        cpu=_cpu(options, facts),
        disks=parts.disks,
        nics=parts.nics,
        tpm=options.add_tpm_device,
        vnc=Vnc(listen=options.vnc_listen_address) if options.enable_vm_vnc_console else None,
        console_log=log if options.enable_vm_console_log else None,
        label=parts.label,
        uuid=parts.uuid,
        origin=parts.origin,
        os_id=parts.os_id,
        autostart=parts.autostart,
        hardware=parts.hardware,
        notes=parts.notes,
    )


def final_disks(
    connection: libvirt.virConnect, volumes: Sequence[ReplicaVolume]
) -> tuple[FinalDisk, ...]:
    """Locate the volumes on the host, in the machine's order."""
    return tuple(
        FinalDisk(
            disk_id=volume.disk_id,
            path=storage.volume_path(connection, volume.volume),
            format=volume.volume.format,
        )
        for volume in volumes
    )


def _uuid(
    connection: libvirt.virConnect, machine: VirtualMachine, hardware: Hardware
) -> tuple[str, tuple[str, ...]]:
    """Keep the machine's UUID where it is free; say so where it is not."""
    own = _as_uuid(machine.id) if hardware.keep_uuid else None
    if own is None:
        return str(uuid.uuid4()), ()
    other = domains.find_domain(connection, own)
    if other is None:
        return own, ()
    return str(uuid.uuid4()), (
        f"The machine has a new UUID: “{other.name()}” on this host has its old one, {own}."
        " Licences tied to it may ask again.",
    )


def _as_uuid(text: str) -> str | None:
    try:
        return str(uuid.UUID(text))
    except ValueError:  # an image is called after its file
        return None


def _autostart(request: DeployRequest, machine: VirtualMachine) -> bool:
    if request.hardware.autostart is Autostart.AS_SOURCE:
        return machine.autostart and request.start
    return request.hardware.autostart is Autostart.ON


def _require_free_name(connection: libvirt.virConnect, name: str) -> None:
    if domains.find_domain(connection, name) is not None:
        raise BadInputError(
            f"there is a machine “{name}” on {connection.getHostname()} already",
            "give the new one another name, or remove the old one (virsh undefine)",
            evidence=f"virsh domstate {name}: it is defined",
        )


def _cpu(options: ProviderOptions, facts: HostFacts) -> CpuChoice:
    return choose_cpu(options.cpu_mode, options.cpu_migratable, options.cpu_features, facts)


def _require_tpm(options: ProviderOptions, facts: HostFacts) -> None:
    if options.add_tpm_device and not facts.tpm:
        raise OptionError(
            f"option add_tpm_device: {facts.hostname} cannot give a guest a TPM",
            "install swtpm and swtpm-tools there, or set add_tpm_device to false",
            evidence="virsh domcapabilities: no emulated TPM of model tpm-crb",
        )
