# SPDX-License-Identifier: Apache-2.0
"""The NICs of a created domain. Format: https://libvirt.org/formatdomain.html#network-interfaces."""

from collections import defaultdict
from collections.abc import Mapping
from copy import deepcopy
from typing import Final

from tradewind.domainxml import devices
from tradewind.domainxml.document import E, Element, attribute
from tradewind.domainxml.machine import moving_nics
from tradewind.model.deploy import FinalDomain, FinalNic
from tradewind.model.hardware import NicModel
from tradewind.model.mac import read_mac
from tradewind.model.machine import VirtualMachine
from tradewind.model.network import PlugKind

_KEPT: Final = ("link", "mtu")


def interfaces(source: Element, plan: FinalDomain, ranks: Mapping[int, int]) -> list[Element]:
    """Describe the NICs, in the source's order; `ranks` are places in the boot order by number."""
    model = plan.hardware.nic_model
    described = described_nics(source, plan)
    return [
        _interface(nic, model, described[number], ranks.get(number))
        for number, nic in enumerate(plan.nics)
    ]


def described_nics(source: Element, plan: FinalDomain) -> list[Element | None]:
    """Find the source's description of each NIC: those of one MAC address in their order."""
    known: dict[str, list[Element]] = defaultdict(list)
    for nic in moving_nics(source):
        known[read_mac(attribute(nic, "mac", "address") or "")].append(nic)
    same = (known[read_mac(nic.mac)] for nic in plan.nics)
    return [found.pop(0) if found else None for found in same]


def lost_groups(machine: VirtualMachine, plan: FinalDomain) -> list[str]:
    """Return which NICs left the port group, and so perhaps the VLAN, that they were in."""
    return [
        f"NIC {nic.mac} was in port group {nic.port_group} of {nic.network}, and is on {new.plug}"
        " now: in another VLAN, unless that is the same one."
        for nic, new in zip(machine.nics, plan.nics, strict=False)
        if nic.port_group and not new.plug.port_group and not new.plug.vlans
    ]


def _interface(
    nic: FinalNic, model: NicModel, described: Element | None, rank: int | None
) -> Element:
    element = devices.interface(nic.mac, nic.plug, model.value)
    if described is not None:
        element.extend(deepcopy(kept) for name in _KEPT for kept in described.iterfind(name))
        element.extend(_queues(model, described))
        element.extend(_isolation(nic, described))
    if rank is not None:
        element.append(E.boot(order=str(rank)))
    return element


def _queues(model: NicModel, described: Element) -> list[Element]:
    """Keep the number of queues: the guest's interrupts and network configuration may name them."""
    queues = attribute(described, "driver", "queues")
    return [E.driver(queues=queues)] if queues and model is NicModel.VIRTIO else []


def _isolation(nic: FinalNic, described: Element) -> list[Element]:
    """Keep a NIC apart from its neighbours on a bridge; Open vSwitch knows no such thing."""
    isolated = attribute(described, "port", "isolated") == "yes"
    return [E.port(isolated="yes")] if isolated and nic.plug.kind is not PlugKind.OVS else []
