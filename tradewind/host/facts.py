# SPDX-License-Identifier: Apache-2.0
"""What a host offers, asked of its libvirt."""

from collections.abc import Collection, Sequence
from typing import Any, Final

import libvirt

from tradewind.domainxml import capabilities, network, node_device
from tradewind.domainxml.firmware import ARCHITECTURE
from tradewind.errors import BadInputError, OptionError
from tradewind.host.daemons import is_absent
from tradewind.model.host import HostFacts

# The one x86 machine type with PCI Express, which hot-plug, UEFI and Secure Boot want.
MACHINE: Final = "q35"


def survey(connection: libvirt.virConnect) -> HostFacts:
    """Ask for versions, virtualization, firmware, TPM, CPU modes, pools and networks."""
    host = capabilities.parse_host_capabilities(connection.getCapabilities())
    _require_pc(connection, host.architecture)
    domain = _capabilities(connection, host.architecture, MACHINE, kvm=host.kvm)
    described = [
        (net, network.parse_network(net.XMLDesc())) for net in connection.listAllNetworks()
    ]
    networks = [found for _net, found in described]
    bridges = {found.bridge for net, found in described if net.isActive() and found.bridge}
    return HostFacts(
        hostname=connection.getHostname(),
        libvirt_version=_version(connection.getLibVersion()),
        qemu_version=_version(connection.getVersion()),
        kvm=host.kvm,
        cpu_modes=domain.cpu_modes,
        cpu_features=_cpu_features(connection, host.architecture, domain),
        pools=tuple(sorted(pool.name() for pool in connection.listAllStoragePools())),
        networks=tuple(sorted(net.name for net in networks)),
        machine_types=host.machine_types,
        port_groups=tuple(f"{net.name}/{group}" for net in networks for group in net.port_groups),
        tagging=tuple(net.name for net in networks if net.tags),
        devices=_devices(connection, bridges),
        **_of_machine(domain),
    )


def _require_pc(connection: libvirt.virConnect, architecture: str) -> None:
    if architecture != ARCHITECTURE:
        raise BadInputError(
            f"{connection.getHostname()} has processors of {architecture}, and Tradewind's workers"
            f" and machines are PCs of {ARCHITECTURE}",
            f"take a host of {ARCHITECTURE}",
            evidence=f"virsh capabilities: host/cpu/arch is {architecture}",
        )


def for_machine(
    connection: libvirt.virConnect, facts: HostFacts, machine_type: str | None
) -> HostFacts:
    """Return what the host offers to guests of another machine type.

    OptionError when it has none of that name.
    """
    if machine_type is None:
        return facts
    if machine_type not in facts.machine_types:
        raise OptionError(
            f"machine_type: {facts.hostname} has no machine type “{machine_type}”",
            f"choose one of: {', '.join(_choices(facts.machine_types))}",
            evidence=f"virsh capabilities: {len(facts.machine_types)} machine types, not this one",
        )
    architecture = capabilities.parse_host_capabilities(connection.getCapabilities()).architecture
    domain = _capabilities(connection, architecture, machine_type, kvm=facts.kvm)
    return facts.model_copy(update=_of_machine(domain))


def _choices(machine_types: Sequence[str]) -> list[str]:
    """Leave out microvm, isapc and the like: nothing that is moved runs on them."""
    return sorted(name for name in machine_types if name.startswith(("pc", "q35")))


def _of_machine(domain: capabilities.DomainCapabilities) -> dict[str, Any]:
    names = ("uefi", "secure_boot", "tpm", "machine_type", "disk_buses", "loaders", "most_vcpus")
    return {name: getattr(domain, name) for name in names}


def _capabilities(
    connection: libvirt.virConnect, architecture: str, machine_type: str, *, kvm: bool
) -> capabilities.DomainCapabilities:
    virtualization = "kvm" if kvm else "qemu"
    return capabilities.parse_domain_capabilities(
        connection.getDomainCapabilities(None, architecture, machine_type, virtualization, 0)
    )


def _devices(connection: libvirt.virConnect, bridges: Collection[str]) -> tuple[str, ...]:
    """Name the host's network devices; none where libvirt does not know them all.

    `bridges` are some that are there. Without udev (in a container) libvirt lists the devices that
    there were when it started; and it may have no driver for them at all, or no daemon.
    """
    try:
        found = connection.listAllDevices(libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_NET)
    except libvirt.libvirtError as error:
        unknown = {libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_NO_CONNECT}
        if error.get_error_code() in unknown or is_absent(error):
            return ()
        raise
    names = {node_device.interface(device.XMLDesc()) for device in found}
    return tuple(sorted(names)) if names.issuperset(bridges) else ()


def _cpu_features(
    connection: libvirt.virConnect, architecture: str, domain: capabilities.DomainCapabilities
) -> tuple[str, ...]:
    if domain.host_model_cpu is None:
        return ()
    expanded = connection.baselineHypervisorCPU(
        domain.emulator,
        architecture,
        domain.machine_type,
        "kvm" if domain.kvm else "qemu",
        [domain.host_model_cpu],
        libvirt.VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES,
    )
    return capabilities.cpu_features(expanded)


def _version(number: int) -> str:
    # Format: major * 1,000,000 + minor * 1,000 + release (virConnectGetLibVersion).
    major, rest = divmod(number, 1_000_000)
    return f"{major}.{rest // 1000}.{rest % 1000}"
