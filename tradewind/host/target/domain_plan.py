# SPDX-License-Identifier: Apache-2.0
"""Decide what the final machine will be, before anything is made."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import libvirt
from pydantic import SecretStr

from tradewind.domainxml.final import console_log_path
from tradewind.errors import BadInputError, OptionError
from tradewind.host import networks, storage, validate
from tradewind.host.domain import domains, twins
from tradewind.host.facts import for_machine
from tradewind.host.target import identity, objections, requirements
from tradewind.host.target.cpu_choice import choose_cpu
from tradewind.model.deploy import CpuChoice, FinalDisk, FinalDomain, FinalNic, Suitability, Vnc
from tradewind.model.hardware import Autostart, Hardware
from tradewind.model.host import HostFacts
from tradewind.model.machine import Nic, VirtualMachine
from tradewind.model.network import NetworkMap, Plug, PlugKind
from tradewind.model.options import ProviderOptions
from tradewind.model.requests import DeployRequest
from tradewind.model.run import Label, Purpose, Run, new_run_id
from tradewind.model.storage import ReplicaVolume


def check(
    connection: libvirt.virConnect,
    machine: VirtualMachine,
    request: DeployRequest,
    options: ProviderOptions,
    facts: HostFacts,
) -> Suitability:
    """Raise everything at once that would keep the machine from being defined.

    What can be given of what was asked for is decided here, once in a run. The host's libvirt is
    asked last, for the machine as it would be: see objections.py.
    """
    chosen, cpu = request.hardware, list[CpuChoice]()
    # All else depends on the machine type.
    facts = for_machine(connection, facts, chosen.machine_type)
    validate.require_all(
        [
            lambda: identity.require_name(final_name(request, machine)),
            lambda: _require_free_name(connection, final_name(request, machine)),
            *(partial(demand, machine, chosen, facts) for demand in requirements.ALL),
            lambda: _require_tpm(options, facts),
            lambda: cpu.append(_cpu(options, facts)),
            *_network_checks(connection, machine, request, facts),
        ]
    )
    suits = Suitability(cpu=cpu[0])
    asked = twin(machine, request, options, facts, suits)
    left_out = objections.omissions(connection, machine, asked, facts)
    return suits.model_copy(update={"left_out": left_out})


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


def twin(
    machine: VirtualMachine,
    request: DeployRequest,
    options: ProviderOptions,
    facts: HostFacts,
    suits: Suitability,
) -> FinalDomain:
    """Design the machine before its volumes are there, for libvirt to look at.

    It is called otherwise, and its disks are files in a folder that is not there: it is nobody's.
    """
    label = Run(id=new_run_id(), transfer="", begun=datetime.now(UTC)).label(Purpose.TWIN)
    name = twins.name_of(label, final_name(request, machine))
    folder = f"/nonexistent/tradewind-{label.run}"
    final = FinalDomain(
        name=name,
        kvm=facts.kvm,
        machine_type=facts.machine_type,
        cpu=suits.cpu,
        disks=tuple(
            FinalDisk(disk_id=disk.id, path=f"{folder}/{disk.id}", format="qcow2")
            for disk in machine.disks
        ),
        nics=_nics(machine, request, facts),
        label=label,
        uuid=str(uuid.uuid4()),
        hardware=request.hardware,
        left_out=suits.left_out,
        config_drive=f"{folder}/config.iso" if options.use_config_drive else None,
    )
    return with_options(final, options)


def _nics(
    machine: VirtualMachine, request: DeployRequest, facts: HostFacts
) -> tuple[FinalNic, ...]:
    """Plug the NICs in; the network of a rehearsal is made later."""
    if not request.rehearse:
        return tuple(map_nic(nic, request.network_map, facts) for nic in machine.nics)
    apart = Plug(name=request.rehearsal_network or "tradewind-rehearsal")
    return tuple(FinalNic(mac=nic.mac, plug=apart) for nic in machine.nics)


def final_name(request: DeployRequest, machine: VirtualMachine) -> str:
    """Name the new machine: as asked, else as on its source; a rehearsal's by its own name."""
    return request.name or (f"{machine.name}-rehearsal" if request.rehearse else machine.name)


def map_nic(nic: Nic, mapping: NetworkMap, facts: HostFacts) -> FinalNic:
    """Plug a NIC into what the map says; its MAC address stays."""
    plug = in_its_group(nic, mapping.plug_of(nic), facts)
    requirements.require_plug(nic, plug, facts)
    return FinalNic(mac=nic.mac, plug=plug)


def in_its_group(nic: Nic, plug: Plug, facts: HostFacts) -> Plug:
    """Keep the NIC in its port group where the map names a network that has one of that name."""
    named = plug.kind is not PlugKind.NETWORK or plug.port_group or plug.vlans
    there = f"{plug.name}/{nic.port_group}" in facts.port_groups
    return plug.model_copy(update={"port_group": nic.port_group}) if there and not named else plug


@dataclass(frozen=True, slots=True)
class DeploySpec:
    """What is to be made of which volumes.

    `suits` is what `check` answered, `os_id` what was found on the volumes.
    """

    request: DeployRequest
    machine: VirtualMachine
    volumes: Sequence[ReplicaVolume]
    label: Label
    suits: Suitability
    os_id: str | None = None
    vnc_password: SecretStr | None = None


def compose(
    connection: libvirt.virConnect, spec: DeploySpec, options: ProviderOptions, facts: HostFacts
) -> FinalDomain:
    """Decide all of the final machine, with what the host has now."""
    request, machine = spec.request, spec.machine
    chosen, notes = _uuid(connection, machine, request.hardware)
    shared = () if request.rehearse else identity.shared_addresses(connection, machine)
    offered = for_machine(connection, facts, request.hardware.machine_type)
    final = FinalDomain(
        name=final_name(request, machine),
        kvm=offered.kvm,
        machine_type=offered.machine_type,
        cpu=spec.suits.cpu,
        disks=final_disks(connection, spec.volumes),
        nics=tuple(map_nic(nic, request.network_map, facts) for nic in machine.nics),
        label=spec.label,
        uuid=chosen,
        origin=f"Moved here by Tradewind: {machine.name} of {request.source}.",
        os_id=spec.os_id,
        autostart=starts_with_host(request, machine),
        hardware=request.hardware,
        left_out=spec.suits.left_out,
        notes=(*notes, *shared),
    )
    return with_options(final, options, spec.vnc_password)


def with_options(
    final: FinalDomain, options: ProviderOptions, vnc_password: SecretStr | None = None
) -> FinalDomain:
    """Apply the options to the machine; what the host cannot give is in its shortfalls."""
    log = console_log_path(options.vm_console_log_dir, final.name)
    chosen = {
        "tpm": options.add_tpm_device,
        "vnc": console(options, vnc_password),
        "console_log": log if options.enable_vm_console_log else None,
    }
    return final.model_copy(update=chosen)


def console(options: ProviderOptions, password: SecretStr | None) -> Vnc | None:
    """Decide about the VNC console."""
    if not options.enable_vm_vnc_console:
        return None
    return Vnc(listen=options.vnc_listen_address, password=password)


def final_disks(
    connection: libvirt.virConnect, volumes: Sequence[ReplicaVolume]
) -> tuple[FinalDisk, ...]:
    """Locate the volumes on the host, in the machine's order."""
    return tuple(
        FinalDisk(
            disk_id=volume.disk_id,
            path=storage.volume_path(connection, volume.volume),
            format=volume.volume.format,
            block=storage.holds_blocks(connection, volume.volume.pool),
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


def starts_with_host(request: DeployRequest, machine: VirtualMachine) -> bool:
    """Whether the new machine shall start with its host: as asked, else as the original did."""
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
