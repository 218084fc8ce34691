# SPDX-License-Identifier: Apache-2.0
"""What NICs are plugged into, as people write it."""

import pytest
from pydantic import ValidationError

from tradewind.model.machine import Nic
from tradewind.model.network import NetworkMap, Plug, PlugKind, read_plug

NIC = Nic(mac="52:54:00:1A:2B:3C", network="office")


@pytest.mark.parametrize(
    ("text", "plug"),
    [
        ("lan", Plug(name="lan")),
        ("network:lan", Plug(name="lan")),
        ("network:lan/dmz", Plug(name="lan", port_group="dmz")),
        ("dmz:7", Plug(name="dmz:7")),
        ("bridge:br0", Plug(kind=PlugKind.BRIDGE, name="br0")),
        ("ovs:br-int?vlan=42", Plug(kind=PlugKind.OVS, name="br-int", vlans=(42,))),
        ("ovs:br-int?vlan=1,4094", Plug(kind=PlugKind.OVS, name="br-int", vlans=(1, 4094))),
    ],
)
def test_plug_is_read_and_written(text: str, plug: Plug) -> None:
    assert read_plug(text) == plug
    assert read_plug(str(plug)) == plug


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no network"),
        ("network:", "names no network"),
        ("bridge:", "names no bridge"),
        ("bridge:a/b", "names no bridge"),
        ("ovs:sixteen-letters-", "names no bridge"),
        ("lan?", "only vlan"),
        ("lan?mtu=9000", "only vlan"),
        ("lan?vlan=", "nothing is no VLAN tag"),
        ("lan?vlan=0", "0 is no VLAN tag"),
        ("lan?vlan=4095", "4095 is no VLAN tag"),
        ("lan?vlan=7,x", "x is no VLAN tag"),
    ],
)
def test_what_is_no_plug(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_plug(text)
    with pytest.raises(ValidationError, match=said):
        NetworkMap(default=text)


@pytest.mark.parametrize(
    ("networks", "plug"),
    [
        ({"nics": {"52-54-00-1a-2b-3c": "a"}, "networks": {"office": "b"}, "default": "c"}, "a"),
        ({"nics": {"52:54:00:1a:2b:3d": "a"}, "networks": {"office": "b"}, "default": "c"}, "b"),
        ({"networks": {"lab": "b"}, "default": "c"}, "c"),
        ({}, "office"),
    ],
)
def test_nearest_entry_wins(networks: dict[str, object], plug: str) -> None:
    assert NetworkMap.model_validate(networks).plug_of(NIC) == Plug(name=plug)


def test_mac_address_that_is_none() -> None:
    with pytest.raises(ValidationError, match="“eth0” is no MAC address"):
        NetworkMap(nics={"eth0": "lan"})
