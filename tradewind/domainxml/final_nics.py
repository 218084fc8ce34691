# SPDX-License-Identifier: Apache-2.0
"""The NICs of a created domain. Format: https://libvirt.org/formatdomain.html#network-interfaces."""

from copy import deepcopy
from typing import Final

from tradewind.domainxml import devices
from tradewind.domainxml.document import E, Element, attribute
from tradewind.model.deploy import FinalDomain, FinalNic
from tradewind.model.hardware import NicModel
from tradewind.model.network import PlugKind

_KEPT: Final = ("link", "mtu")


def interfaces(source: Element, plan: FinalDomain, ranks: dict[str, int]) -> list[Element]:
    """Describe the NICs, in the source's order."""
    described = {
        attribute(nic, "mac", "address"): nic for nic in source.iterfind("devices/interface")
    }
    model = plan.hardware.nic_model
    return [_interface(nic, model, described.get(nic.mac), ranks.get(nic.mac)) for nic in plan.nics]


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
