# SPDX-License-Identifier: Apache-2.0
"""What an interface is: a NIC, something built upon NICs that DHCP serves, or neither.

Only NICs, bonds, bridges, VLANs and teams get addresses from a DHCP server. Loopback, tunnels,
WireGuard, dummies, VRFs and their like have addresses that nobody hands out, and some programs
refuse "auto" for them (nm_connection_verify() for WireGuard, for example).
"""

import re
from enum import Enum
from typing import Final

# Names that the kernel or a program gives to interfaces without hardware.
_OTHER: Final = re.compile(
    r"(lo|(wg|tun|tap|dummy|vrf|ppp|sit|gre|gretap|erspan|ip6gre|ipip|tunl|ip6tnl|ip_vti|vti|xfrm"
    r"|ipsec|macsec|macvlan|macvtap|ipvlan|vxlan|geneve|virbr|docker|lxcbr|lxdbr|ifb|nlmon|ib)"
    r"(\d+|[-_.].*)?|veth.*|w[lw](an|[bopsux])?\d.*)"
)
_UPON_NICS: Final = re.compile(r"(br|bond|team|vlan)(\d+|[-_].*)?|.*[.:].*")


class InterfaceKind(Enum):
    """`UPON_NICS` are bonds, bridges, VLANs and teams."""

    NIC = "nic"
    UPON_NICS = "upon NICs"
    OTHER = "other"


def by_name(name: str) -> InterfaceKind:
    """Judge an interface by its name alone, where nothing says what it is."""
    if _OTHER.fullmatch(name):
        return InterfaceKind.OTHER
    return InterfaceKind.UPON_NICS if _UPON_NICS.fullmatch(name) else InterfaceKind.NIC
