# SPDX-License-Identifier: Apache-2.0
"""What a NIC of the created machine is plugged into, as a person writes it."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import parse_qs

from pydantic import AfterValidator, Field, model_validator

from tradewind.model.mac import read_mac
from tradewind.model.machine import Nic
from tradewind.model.record import Record

_HIGHEST_VLAN: Final = 4094
# What Linux takes as the name of a network device: 15 characters, no slash, no white space.
_DEVICE: Final = re.compile(r"[^\s/:?]{1,15}")
_SYNTAX: Final = "LAN, network:LAN/PORTGROUP, bridge:BR0, ovs:BR-INT?vlan=42"


class PlugKind(StrEnum):
    """What there is to plug a NIC into."""

    NETWORK = "network"
    BRIDGE = "bridge"
    OVS = "ovs"


class Plug(Record):
    """A libvirt network (and a port group of it), or a bridge of the host, with VLAN tags.

    One tag puts the NIC into that VLAN; several make it a trunk.
    """

    kind: PlugKind = PlugKind.NETWORK
    name: str
    port_group: str | None = None
    vlans: tuple[int, ...] = ()

    def __str__(self) -> str:
        group = f"/{self.port_group}" if self.port_group else ""
        tags = f"?vlan={','.join(map(str, self.vlans))}" if self.vlans else ""
        plain = self.kind is PlugKind.NETWORK and not group and ":" not in self.name
        return f"{'' if plain else f'{self.kind}:'}{self.name}{group}{tags}"


def read_plug(text: str) -> Plug:
    """Read `lan`, `network:lan/portgroup`, `bridge:br0` or `ovs:br-int?vlan=42`.

    ValueError says what is wrong with it. A name without one of the three words before a colon is
    a libvirt network's.
    """
    place, question, asked = text.strip().partition("?")
    word, colon, rest = place.partition(":")
    kind = PlugKind(word) if colon and word in set(PlugKind) else PlugKind.NETWORK
    name = rest if colon and word in set(PlugKind) else place
    group = ""
    if kind is PlugKind.NETWORK:
        name, _, group = name.partition("/")
    elif not _DEVICE.fullmatch(name):
        raise ValueError(f"“{text}” names no bridge; write {_SYNTAX}")
    if not name:
        raise ValueError(f"“{text}” names no network; write {_SYNTAX}")
    vlans = _vlans(text, asked) if question else ()
    return Plug(kind=kind, name=name, port_group=group or None, vlans=vlans)


def _vlans(text: str, asked: str) -> tuple[int, ...]:
    words = parse_qs(asked, keep_blank_values=True)
    if set(words) != {"vlan"}:
        raise ValueError(f"“{text}”: only vlan can stand after the “?”, as in ?vlan=42")
    tags = [tag.strip() for tag in words["vlan"][-1].split(",")]
    wrong = [tag for tag in tags if not tag.isdecimal() or not 0 < int(tag) <= _HIGHEST_VLAN]
    if wrong:
        raise ValueError(f"“{text}”: {wrong[0] or 'nothing'} is no VLAN tag (1 to {_HIGHEST_VLAN})")
    return tuple(int(tag) for tag in tags)


def _readable(text: str) -> str:
    return str(read_plug(text))


PlugText = Annotated[str, AfterValidator(_readable)]


class NetworkMap(Record, title="own map"):
    """What each NIC is plugged into: by its MAC address, else its source network, else a default.

    What no entry names keeps the name of its source network.
    """

    nics: dict[str, PlugText] = Field(
        default_factory=dict,
        title="By MAC address",
        description="Where single NICs go, whatever their network: MAC address, and a destination "
        "as below.",
    )
    networks: dict[str, PlugText] = Field(
        default_factory=dict,
        title="By source network",
        description="Where the NICs of a source network (or bridge, or NETWORK/PORTGROUP) go: "
        f"{_SYNTAX}.",
    )
    default: PlugText | None = Field(
        None,
        title="Default",
        description="Where all other NICs go. Left empty: to the network of the same name.",
    )

    @model_validator(mode="before")
    @classmethod
    def _known_by_address(cls, value: Any) -> Any:
        """Refuse what is no MAC address, and spell the others in one way."""
        if not isinstance(value, Mapping) or not isinstance(value.get("nics"), Mapping):
            return value
        wrong = [mac for mac in value["nics"] if not read_mac(str(mac))]
        if wrong:
            raise ValueError(f"“{wrong[0]}” is no MAC address; write 52:54:00:01:02:03")
        return {**value, "nics": {read_mac(str(mac)): to for mac, to in value["nics"].items()}}

    def plug_of(self, nic: Nic) -> Plug:
        """Return where a NIC goes; without an entry to the same network, and port group of it."""
        group = f"{nic.network}/{nic.port_group}" if nic.port_group else nic.network
        asked = (
            self.nics.get(nic.mac)
            or self.networks.get(group)
            or self.networks.get(nic.network)
            or self.default
        )
        own = Plug(name=nic.network, port_group=nic.port_group or None)
        return read_plug(asked) if asked else own
