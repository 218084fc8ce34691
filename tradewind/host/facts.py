# SPDX-License-Identifier: Apache-2.0
"""What a host offers, asked of its libvirt."""

from typing import Final

import libvirt

from tradewind.domainxml import capabilities
from tradewind.model.host import HostFacts

# The one x86 machine type with PCI Express, which hot-plug, UEFI and Secure Boot want.
MACHINE: Final = "q35"


def survey(connection: libvirt.virConnect) -> HostFacts:
    """Ask for versions, virtualization, firmware, TPM, CPU modes, pools and networks."""
    host = capabilities.parse_host_capabilities(connection.getCapabilities())
    virtualization = "kvm" if host.kvm else "qemu"
    domain = capabilities.parse_domain_capabilities(
        connection.getDomainCapabilities(None, host.architecture, MACHINE, virtualization, 0)
    )
    return HostFacts(
        hostname=connection.getHostname(),
        libvirt_version=_version(connection.getLibVersion()),
        qemu_version=_version(connection.getVersion()),
        kvm=host.kvm,
        uefi=domain.uefi,
        secure_boot=domain.secure_boot,
        tpm=domain.tpm,
        cpu_modes=domain.cpu_modes,
        cpu_features=_cpu_features(connection, host.architecture, domain),
        machine_type=domain.machine_type,
        pools=tuple(sorted(pool.name() for pool in connection.listAllStoragePools())),
        networks=tuple(sorted(net.name() for net in connection.listAllNetworks())),
    )


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
