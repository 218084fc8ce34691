# SPDX-License-Identifier: Apache-2.0
"""Virtual networks. Format: https://libvirt.org/formatnetwork.html."""

from dataclasses import dataclass

from tradewind.domainxml.document import attribute, parse, text_at


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """A network; `forward` is libvirt's word (nat, route, bridge…), None when it is isolated.

    `hands_out_addresses` says whether libvirt itself runs DHCP on it, so that it knows leases.
    """

    name: str
    forward: str | None
    bridge: str | None
    hands_out_addresses: bool


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
    )
