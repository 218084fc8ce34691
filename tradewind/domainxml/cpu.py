# SPDX-License-Identifier: Apache-2.0
"""The processors of a created domain: how many, of what kind, and how they are arranged.

Format: https://libvirt.org/formatdomain.html#cpu-allocation, #cpu-model-and-topology.
"""

from copy import deepcopy
from math import prod
from typing import Final

from tradewind.domainxml.document import E, Element
from tradewind.model.deploy import CpuChoice, CpuMode, FinalDomain
from tradewind.model.machine import VirtualMachine

# An interrupt of a PC names its processor with eight bits. With more than this libvirt insists on
# an IOMMU in extended interrupt mode (qemuValidateDomainVCpuTopology in qemu_validate.c).
_MOST_IN_EIGHT_BITS: Final = 255

# Libvirt accepts the attribute `migratable` in these modes only.
_KNOWS_MIGRATABLE: Final = frozenset({CpuMode.HOST_PASSTHROUGH, CpuMode.MAXIMUM})


def cpu_element(choice: CpuChoice, topology: Element | None = None) -> Element | None:
    """Write the <cpu> of a choice; None when everything is left to libvirt."""
    if choice.mode is CpuMode.LIBVIRT_DEFAULT:
        return None if topology is None else E.cpu(topology)
    cpu = E.cpu(mode=choice.mode.value)
    if choice.mode in _KNOWS_MIGRATABLE:
        # check="none": QEMU itself decides what these two modes hold; libvirt has no model to
        # compare it with.
        cpu.set("check", "none")
        cpu.set("migratable", "on" if choice.migratable else "off")
    if topology is not None:
        cpu.append(topology)
    cpu.extend(E.feature(policy="require", name=name) for name in choice.features)
    return cpu


def vcpu_element(machine: VirtualMachine, source: Element, plan: FinalDomain) -> Element:
    """Write the number of vCPUs; some of the source's may be unplugged at boot."""
    most, at_boot = _vcpus(machine, source, plan)
    unplugged = {"current": str(at_boot)} if most > at_boot else {}
    return E.vcpu(str(most), placement="static", **unplugged)


def _vcpus(machine: VirtualMachine, source: Element, plan: FinalDomain) -> tuple[int, int]:
    """Return how many vCPUs there can be, and how many there are when the machine starts."""
    asked = plan.hardware
    at_boot = asked.vcpus_of(machine.vcpus)
    chosen = asked.vcpus is not None or asked.cpu_topology is not None
    # The topology of the source counts them all.
    most = at_boot if chosen else int(source.findtext("vcpu") or at_boot)
    return max(most, at_boot), at_boot


def topology(machine: VirtualMachine, source: Element, plan: FinalDomain) -> Element | None:
    """Describe sockets, cores and threads; None when nothing is asked for, or it does not fit."""
    asked = plan.hardware.cpu_topology
    if asked is not None:
        return E.topology(
            sockets=str(asked.sockets), cores=str(asked.cores), threads=str(asked.threads)
        )
    described = source.find("cpu/topology")
    if described is None:
        return None
    made = prod(int(str(number)) for number in described.attrib.values())
    fits = made == _vcpus(machine, source, plan)[0]
    return deepcopy(described) if fits else None


def wants_wide_interrupts(machine: VirtualMachine, source: Element, plan: FinalDomain) -> bool:
    """Return whether there are so many vCPUs that interrupts need an IOMMU to name them."""
    return _vcpus(machine, source, plan)[0] > _MOST_IN_EIGHT_BITS


def iommu(machine: VirtualMachine, source: Element, plan: FinalDomain) -> list[Element]:
    """Describe the IOMMU that many vCPUs need; else there is none: nothing is passed through."""
    if not wants_wide_interrupts(machine, source, plan):
        return []
    return [E.iommu(E.driver(intremap="on", eim="on"), model="intel")]


def lost_of_iommu(machine: VirtualMachine, source: Element, plan: FinalDomain) -> list[str]:
    """Return what becomes of the source's IOMMU."""
    if wants_wide_interrupts(machine, source, plan):
        return ["The IOMMU is a plain Intel one, which more than 255 vCPUs need."]
    return ["The iommu device is left out."]
