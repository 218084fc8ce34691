# SPDX-License-Identifier: Apache-2.0
"""Virtual networks. Format: https://libvirt.org/formatnetwork.html."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from tradewind.domainxml.document import E, attribute, parse, text_at, to_text

# Libvirt refuses a DHCP range of more than 65535 addresses; no rehearsal needs as many as this.
MOST_LEASES: Final = 1000


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """A network; `forward` is libvirt's word (nat, route, bridge…), None when it is isolated.

    `hands_out_addresses` says whether libvirt itself runs DHCP on it, so that it knows leases;
    `tags` whether it puts NICs into VLANs (Open vSwitch does).
    """

    name: str
    forward: str | None
    bridge: str | None
    hands_out_addresses: bool
    port_groups: tuple[str, ...] = ()
    tags: bool = False


def parse_network(xml: str) -> NetworkFacts:
    """Read what virNetworkGetXMLDesc returns."""
    document = parse(xml)
    forward = document.find("forward")
    return NetworkFacts(
        name=text_at(document, "name"),
        # "If no mode is given, nat is assumed."
        forward=None if forward is None else forward.get("mode", "nat"),
        bridge=attribute(document, "bridge", "name"),
        hands_out_addresses=document.find("ip/dhcp") is not None,
        port_groups=tuple(group.get("name", "") for group in document.iterfind("portgroup")),
        tags=attribute(document, "virtualport", "type") == "openvswitch",
    )


def isolated_network(name: str, subnet: str) -> str:
    """Describe a network without a way out: no forwarding, no names of the world, DHCP."""
    net = IPv4Network(subnet)
    first, last = int(net.network_address) + 2, int(net.broadcast_address) - 1
    last = min(last, first + MOST_LEASES - 1)
    return to_text(
        E.network(
            E.name(name),
            # A guest that asks for a name would otherwise be heard by the host's own resolver.
            E.dns(enable="no"),
            E.ip(
                E.dhcp(E.range(start=str(IPv4Address(first)), end=str(IPv4Address(last)))),
                address=str(net.network_address + 1),
                netmask=str(net.netmask),
            ),
        )
    )


def ways_out(xml: str) -> str:
    """Return how something leaves a network; empty when nothing does."""
    document = parse(xml)
    forward = document.find("forward")
    if forward is not None:
        return f"it forwards ({forward.get('mode', 'nat')})"
    # Without <forward> libvirt makes the bridge itself and plugs no NIC of the host into it; a
    # route would lead to another network behind a machine on this one.
    return "it has a route to another network" if document.find("route") is not None else ""
