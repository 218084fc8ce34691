# SPDX-License-Identifier: Apache-2.0
"""What a machine and the choices for it demand of the host, each refused with its remedy."""

from collections.abc import Callable
from typing import Final

from tradewind.errors import BadInputError, OptionError
from tradewind.host.target import identity
from tradewind.model.hardware import NETWORK, DiskBus, FirmwareChoice, Hardware
from tradewind.model.host import HostFacts
from tradewind.model.machine import FirmwareKind, Nic, VirtualMachine
from tradewind.model.network import Plug, PlugKind

# A PC has two IDE channels of two drives each.
_IDE_DRIVES: Final = 4
_SECTOR: Final = 512
# https://libvirt.org/formatdomain.html#setting-vlan-tag-on-supported-network-types-only
_TAGS_ON_BRIDGES: Final = (11, 0, 0)


def _firmware(machine: VirtualMachine, chosen: Hardware, facts: HostFacts) -> None:
    wanted = chosen.firmware_of(machine.firmware)
    asked = chosen.firmware is not FirmwareChoice.AS_SOURCE
    who = "option firmware:" if asked else f"{machine.name} starts with UEFI, and"
    if wanted.kind is FirmwareKind.UEFI and not facts.uefi:
        raise BadInputError(
            f"{who} {facts.hostname} has no UEFI firmware for {facts.machine_type}",
            "install ovmf there (SUSE: qemu-ovmf-x86_64)",
            evidence="virsh domcapabilities: firmware efi is missing",
        )
    who = "option firmware:" if asked else f"{machine.name} uses Secure Boot, and"
    if wanted.secure_boot and not facts.secure_boot:
        raise BadInputError(
            f"{who} {facts.hostname} has no firmware with it for {facts.machine_type}",
            "install an OVMF build with Secure Boot there, and leave machine_type at q35",
            evidence="virsh domcapabilities: no secure loader",
        )


def _vcpus(machine: VirtualMachine, chosen: Hardware, facts: HostFacts) -> None:
    wanted = chosen.vcpus_of(machine.vcpus)
    if facts.most_vcpus and wanted > facts.most_vcpus:
        raise OptionError(
            f"{machine.name} is to have {wanted} vCPUs, and {facts.machine_type} on"
            f" {facts.hostname} takes {facts.most_vcpus}",
            "set vcpus lower, or choose machine type q35",
            evidence=f"virsh domcapabilities: vcpu max {facts.most_vcpus}",
        )


def _named_disks(machine: VirtualMachine, chosen: Hardware, _facts: HostFacts) -> None:
    there = [disk.id for disk in machine.disks]
    for option, names in (
        ("disk_buses", list(chosen.disk_buses)),
        ("boot_order", [name for name in chosen.boot_order if name != NETWORK]),
    ):
        unknown = [name for name in names if name not in there]
        if unknown:
            raise OptionError(
                f"{option}: {machine.name} has no disk “{unknown[0]}”",
                f"its disks are: {', '.join(there)}",
                evidence=f"{option} in the request; the machine as its source describes it",
            )


def _buses(machine: VirtualMachine, chosen: Hardware, facts: HostFacts) -> None:
    buses = {disk.id: chosen.bus_of(disk.id) for disk in machine.disks}
    for bus in sorted(set(buses.values())):
        if facts.disk_buses and bus not in facts.disk_buses:
            raise OptionError(
                f"disk_bus: {facts.machine_type} on {facts.hostname} has no {bus}",
                f"choose one of: {', '.join(each for each in DiskBus if each in facts.disk_buses)}"
                + ("; ide goes with machine_type pc" if bus is DiskBus.IDE else ""),
                evidence=f"virsh domcapabilities: disk buses {', '.join(facts.disk_buses)}",
            )
    on_ide = [disk for disk, bus in buses.items() if bus is DiskBus.IDE]
    if len(on_ide) > _IDE_DRIVES:
        raise OptionError(
            f"disk_bus: {machine.name} has more than {_IDE_DRIVES} disks, which is what IDE takes",
            "put some of them on another bus (disk_buses)",
            evidence=f"disks on ide: {', '.join(on_ide)}",
        )


def _sectors(machine: VirtualMachine, chosen: Hardware, _facts: HostFacts) -> None:
    for disk in machine.disks:
        bus = chosen.bus_of(disk.id)
        if disk.sector != _SECTOR and bus in {DiskBus.IDE, DiskBus.SATA}:
            raise OptionError(
                f"disk_bus: disk {disk.id} of {machine.name} has sectors of {disk.sector} bytes,"
                f" and a {bus} disk always has {_SECTOR}",
                "choose virtio or scsi for it",
                evidence=f"the source's disk {disk.id}: sectors of {disk.sector} bytes",
            )


def _architecture(machine: VirtualMachine, _chosen: Hardware, _facts: HostFacts) -> None:
    identity.require_architecture(machine)


def _addresses(machine: VirtualMachine, _chosen: Hardware, _facts: HostFacts) -> None:
    identity.require_addresses(machine)


Demand = Callable[[VirtualMachine, Hardware, HostFacts], None]
ALL: Final[tuple[Demand, ...]] = (
    _architecture,
    _firmware,
    _vcpus,
    _named_disks,
    _buses,
    _sectors,
    _addresses,
)


def require_plug(nic: Nic, plug: Plug, facts: HostFacts) -> None:
    """Raise OptionError when the host has nothing to plug the NIC into."""
    if plug.kind is PlugKind.NETWORK:
        _require_network(nic, plug, facts)
    elif facts.devices and plug.name not in facts.devices:
        raise OptionError(
            f"NIC {nic.mac}: {facts.hostname} has no bridge “{plug.name}”",
            f"make the bridge there, or map “{nic.network}” (network_map) to one of: "
            f"{_there(facts)}",
            evidence=f"virsh nodedev-list --cap net: {', '.join(facts.devices)}",
        )
    if plug.vlans:
        _require_tags(nic, plug, facts)


def _require_network(nic: Nic, plug: Plug, facts: HostFacts) -> None:
    if plug.name not in facts.networks:
        raise OptionError(
            f"NIC {nic.mac}: its network “{nic.network}” is not mapped, and {facts.hostname} has"
            f" no network “{plug.name}”",
            f"map it (network_map) to one of: {', '.join(facts.networks) or 'none'}",
            evidence=f"virsh net-list --all: {', '.join(facts.networks) or 'none'}",
        )
    group = f"{plug.name}/{plug.port_group}"
    if plug.port_group and group not in facts.port_groups:
        groups = [name for name in facts.port_groups if name.startswith(f"{plug.name}/")]
        raise OptionError(
            f"NIC {nic.mac}: network “{plug.name}” of {facts.hostname} has no port group"
            f" “{plug.port_group}”",
            f"there are: {', '.join(groups) or 'none'}",
            evidence=f"virsh net-dumpxml {plug.name}: port groups {', '.join(groups) or 'none'}",
        )


def _require_tags(nic: Nic, plug: Plug, facts: HostFacts) -> None:
    version = tuple(int(part) for part in facts.libvirt_version.split("."))
    able = {
        PlugKind.OVS: True,
        PlugKind.BRIDGE: version >= _TAGS_ON_BRIDGES,
        PlugKind.NETWORK: plug.name in facts.tagging,
    }
    if not able[plug.kind]:
        raise OptionError(
            f"NIC {nic.mac}: “{plug}” on {facts.hostname} (libvirt {facts.libvirt_version}) takes"
            " no VLAN tag: the machine would not start",
            "use Open vSwitch (ovs:BRIDGE?vlan=…), a port group, or a bridge of that VLAN alone",
            evidence=f"libvirt {facts.libvirt_version}: VLAN tags on {plug.kind} are not applied",
        )


def _there(facts: HostFacts) -> str:
    return ", ".join((*facts.networks, *(f"bridge:{name}" for name in facts.devices)))
