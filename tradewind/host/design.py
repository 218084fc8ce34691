# SPDX-License-Identifier: Apache-2.0
"""Decide what the final machine will be, before anything is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import libvirt

from tradewind.domainxml.cpu import choose_cpu
from tradewind.domainxml.final import console_log_path
from tradewind.domainxml.final import shortfalls as lost_in_translation
from tradewind.errors import BadInputError, OptionError
from tradewind.host import domains, storage, validate
from tradewind.model.deploy import FinalDisk, FinalDomain, Vnc
from tradewind.model.host import HostFacts
from tradewind.model.label import Label
from tradewind.model.machine import FirmwareKind, Nic, VirtualMachine
from tradewind.model.options import ProviderOptions
from tradewind.model.storage import NetworkMap, ReplicaVolume


def check(
    connection: libvirt.virConnect,
    machine: VirtualMachine,
    name: str,
    networks: NetworkMap,
    facts: HostFacts,
) -> None:
    """Raise everything at once that would keep the machine from being defined."""
    validate.require_all(
        [
            lambda: _require_free_name(connection, name),
            lambda: _require_firmware(machine, facts),
            *(partial(map_nic, nic, networks, facts) for nic in machine.nics),
        ]
    )


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
        cpu=choose_cpu(options.cpu_mode, options.cpu_migratable, options.cpu_features, facts),
        disks=parts.disks,
        nics=parts.nics,
        tpm=options.add_tpm_device and facts.tpm,
        vnc=Vnc(listen=options.vnc_listen_address) if options.enable_vm_vnc_console else None,
        console_log=log if options.enable_vm_console_log else None,
        label=parts.label,
    )


def shortfalls(
    machine: VirtualMachine, final: FinalDomain, options: ProviderOptions
) -> tuple[str, ...]:
    """Say what the final machine lacks of its source and of the options asked for."""
    tpm = options.add_tpm_device and not final.tpm
    sentence = "No TPM: the host has no swtpm (install swtpm and swtpm-tools)."
    return (*lost_in_translation(machine, final), *((sentence,) if tpm else ()))


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
