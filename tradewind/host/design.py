# SPDX-License-Identifier: Apache-2.0
"""Decide what the final machine will be, before anything is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import libvirt

from tradewind.domainxml.cpu import choose_cpu
from tradewind.domainxml.final import console_log_path
from tradewind.errors import BadInputError, OptionError
from tradewind.host import domains, storage, validate
from tradewind.model.deploy import CpuChoice, FinalDisk, FinalDomain, Vnc
from tradewind.model.host import HostFacts
from tradewind.model.label import Label
from tradewind.model.machine import FirmwareKind, Nic, VirtualMachine
from tradewind.model.options import ProviderOptions
from tradewind.model.requests import DeployRequest
from tradewind.model.storage import NetworkMap, ReplicaVolume


def check(
    connection: libvirt.virConnect,
    machine: VirtualMachine,
    request: DeployRequest,
    options: ProviderOptions,
    facts: HostFacts,
) -> None:
    """Raise everything at once that would keep the machine from being defined."""
    validate.require_all(
        [
            lambda: _require_free_name(connection, final_name(request, machine)),
            lambda: _require_firmware(machine, facts),
            lambda: _require_tpm(options, facts),
            lambda: _cpu(options, facts),
            *(partial(map_nic, nic, request.network_map, facts) for nic in machine.nics),
        ]
    )


def final_name(request: DeployRequest, machine: VirtualMachine) -> str:
    """Name the new machine: as asked, else as on its source."""
    return request.name or machine.name


def map_nic(nic: Nic, networks: NetworkMap, facts: HostFacts) -> Nic:
    """Plug a NIC into its network on the destination; its MAC address stays."""
    network = networks.networks.get(nic.network) or networks.default or nic.network
    if network not in facts.networks:
        raise OptionError(
            f"NIC {nic.mac}: its network “{nic.network}” is not mapped, and {facts.hostname} has"
            f" no network “{network}”",
            f"map it (network_map) to one of: {', '.join(facts.networks) or 'none'}",
        )
    return nic.model_copy(update={"network": network})


@dataclass(frozen=True, slots=True)
class Parts:
    """What the final machine is put together from, all of it on the destination."""

    name: str
    disks: tuple[FinalDisk, ...]
    nics: tuple[Nic, ...]
    label: Label


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


def _require_free_name(connection: libvirt.virConnect, name: str) -> None:
    if domains.find_domain(connection, name) is not None:
        raise BadInputError(
            f"there is a machine “{name}” on {connection.getHostname()} already",
            "give the new one another name, or remove the old one (virsh undefine)",
        )


def _cpu(options: ProviderOptions, facts: HostFacts) -> CpuChoice:
    return choose_cpu(options.cpu_mode, options.cpu_migratable, options.cpu_features, facts)


def _require_tpm(options: ProviderOptions, facts: HostFacts) -> None:
    if options.add_tpm_device and not facts.tpm:
        raise OptionError(
            f"option add_tpm_device: {facts.hostname} cannot give a guest a TPM",
            "install swtpm and swtpm-tools there, or set add_tpm_device to false",
        )


def _require_firmware(machine: VirtualMachine, facts: HostFacts) -> None:
    if machine.firmware.kind is FirmwareKind.UEFI and not facts.uefi:
        raise BadInputError(
            f"{machine.name} starts with UEFI, and {facts.hostname} has no such firmware",
            "install ovmf there (SUSE: qemu-ovmf-x86_64)",
        )
    if machine.firmware.secure_boot and not facts.secure_boot:
        raise BadInputError(
            f"{machine.name} uses Secure Boot, and {facts.hostname} has no firmware for it",
            "install an OVMF build with Secure Boot there",
        )
