# SPDX-License-Identifier: Apache-2.0
"""Small networks as a model, written in the six formats: what they mean is known beforehand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

NICS: Final = {"ens1": "52:54:00:aa:00:01", "ens2": "52:54:00:aa:00:02"}
_KEY: Final = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEE="


@dataclass(frozen=True, slots=True)
class ModelInterface:
    """`kind`: nic, bond, bridge, vlan, gre or wireguard · `addressing`: fixed, dhcp or none.

    `upon` are the interfaces below it.
    """

    name: str
    kind: str
    addressing: str
    upon: tuple[str, ...] = ()
    number: int = 1

    @property
    def address(self) -> str:
        return f"10.0.{self.number}.5"


@dataclass(frozen=True, slots=True)
class ModelNetwork:
    """All interfaces of a guest."""

    interfaces: tuple[ModelInterface, ...]

    def above(self, name: str) -> ModelInterface | None:
        return next((i for i in self.interfaces if name in i.upon), None)

    def port_of(self, name: str, kind: str) -> str:
        """Name the bond or bridge that it is a port of, "" when it is of none."""
        upper = self.above(name)
        return upper.name if upper and upper.kind == kind else ""

    def expected(self, interface: ModelInterface) -> str:
        """Say what it is to do with set_dhcp: ask, keep its address, or neither."""
        if interface.kind in {"gre", "wireguard"}:
            return "fixed"
        free = interface.kind == "nic" and self.above(interface.name) is None
        return "none" if interface.addressing == "none" and not free else "dhcp"


@st.composite
def networks(draw: st.DrawFn) -> ModelNetwork:
    """Two NICs; upon them a bond, a bridge, a VLAN or nothing; beside them a tunnel, maybe."""
    ways = st.sampled_from(["fixed", "dhcp", "none"])
    kind = draw(st.sampled_from(["", "bond", "bridge", "vlan"]))
    below = {"": (), "bond": tuple(NICS), "bridge": ("ens1",), "vlan": ("ens1",)}[kind]
    found = []
    for number, name in enumerate(NICS):
        is_port = name in below and kind != "vlan"
        found.append(ModelInterface(name, "nic", "none" if is_port else draw(ways), (), number))
    if kind:
        name = "ens1.5" if kind == "vlan" else f"{kind}0"
        found.append(ModelInterface(name, kind, draw(ways), below, 7))
    tunnel = draw(st.sampled_from(["", "gre", "wireguard"]))
    if tunnel:
        found.append(ModelInterface("inner", tunnel, "fixed", (), 9))
    return ModelNetwork(tuple(found))


Writer = Callable[[ModelNetwork], dict[str, str]]


def netplan(network: ModelNetwork) -> dict[str, str]:
    groups = {"nic": "ethernets", "bond": "bonds", "bridge": "bridges", "vlan": "vlans"}
    lines = ["network:", "  version: 2"]
    for group in ("ethernets", "bonds", "bridges", "vlans", "tunnels"):
        its = [i for i in network.interfaces if groups.get(i.kind, "tunnels") == group]
        lines += [f"  {group}:"] if its else []
        for interface in its:
            lines += [f"    {interface.name}:", *(f"      {x}" for x in _netplan(interface))]
    return {"/etc/netplan/01.yaml": "\n".join(lines) + "\n"}


def _netplan(interface: ModelInterface) -> list[str]:
    own = {
        "bond": [f"interfaces: [{', '.join(interface.upon)}]"],
        "bridge": [f"interfaces: [{', '.join(interface.upon)}]"],
        "vlan": ["id: 5", "link: ens1"],
        "gre": ["mode: gre", "local: 192.0.2.1", "remote: 192.0.2.2"],
        "wireguard": [
            "mode: wireguard",
            f"key: {_KEY}",
            f"peers: [{{keys: {{public: {_KEY}}}, allowed-ips: [10.9.0.0/16]}}]",
        ],
    }
    said = {
        "fixed": [f"addresses: [{interface.address}/24]"],
        "dhcp": ["dhcp4: true"],
        "none": ["dhcp4: false"],
    }
    return [*own.get(interface.kind, []), *said[interface.addressing]]


def networkd(network: ModelNetwork) -> dict[str, str]:
    folder, texts = "/etc/systemd/network", {}
    for interface in network.interfaces:
        lines = ["[Match]", f"Name={interface.name}", "[Network]"]
        upper = network.above(interface.name)
        if upper:
            word = {"bond": "Bond", "bridge": "Bridge", "vlan": "VLAN"}[upper.kind]
            lines.append(f"{word}={upper.name}")
        lines += {"fixed": [f"Address={interface.address}/24"], "dhcp": ["DHCP=yes"], "none": []}[
            interface.addressing
        ]
        texts[f"{folder}/{interface.name}.network"] = "\n".join(lines) + "\n"
        if interface.kind != "nic":
            made = f"[NetDev]\nName={interface.name}\nKind={interface.kind}\n"
            texts[f"{folder}/{interface.name}.netdev"] = made
    return texts


def keyfiles(network: ModelNetwork) -> dict[str, str]:
    texts = {}
    for interface in network.interfaces:
        kind = {"nic": "ethernet", "gre": "ip-tunnel"}.get(interface.kind, interface.kind)
        own = {
            "vlan": "[vlan]\nid=5\nparent=ens1\n",
            "gre": "[ip-tunnel]\nmode=2\nlocal=192.0.2.1\nremote=192.0.2.2\n",
            "wireguard": f"[wireguard]\nprivate-key={_KEY}\n",
            "bond": "[bond]\nmode=active-backup\n",
        }
        bond, bridge = (network.port_of(interface.name, kind) for kind in ("bond", "bridge"))
        port = f"master={bond or bridge}\nslave-type={'bond' if bond else 'bridge'}\n"
        said = {
            "fixed": f"[ipv4]\nmethod=manual\naddress1={interface.address}/24\n",
            "dhcp": "[ipv4]\nmethod=auto\n",
            "none": "[ipv4]\nmethod=disabled\n",
        }[interface.addressing]
        texts[f"/etc/NetworkManager/system-connections/{interface.name}"] = (
            f"[connection]\nid={interface.name}\ntype={kind}\n"
            f"uuid=2b0e1a86-5b9d-4e68-8b0a-0c9a2f5d2a1{interface.number}\n"
            f"interface-name={interface.name}\n"
            + (port if bond or bridge else "")
            + own.get(interface.kind, "")
            + ("" if bond or bridge else said)
        )
    return texts


def ifupdown(network: ModelNetwork) -> dict[str, str]:
    text = "auto lo\niface lo inet loopback\n"
    for interface in network.interfaces:
        method = {"fixed": "static", "dhcp": "dhcp", "none": "manual"}[interface.addressing]
        below = " ".join(interface.upon)
        own = {
            "bond": f"  bond-slaves {below}\n",
            "bridge": f"  bridge_ports {below}\n",
            "gre": "  pre-up ip link add inner type gre remote 192.0.2.2\n",
            "wireguard": "  pre-up ip link add inner type wireguard\n",
        }
        fixed = interface.addressing == "fixed"
        text += f"auto {interface.name}\niface {interface.name} inet {method}\n"
        text += f"  address {interface.address}/24\n" if fixed else ""
        text += own.get(interface.kind, "")
    return {"/etc/network/interfaces": text}


def ifcfg(network: ModelNetwork) -> dict[str, str]:
    texts = {}
    kinds = {"nic": "Ethernet", "bond": "Bond", "bridge": "Bridge", "vlan": "Vlan", "gre": "GRE"}
    for interface in network.interfaces:
        bond, bridge = (network.port_of(interface.name, kind) for kind in ("bond", "bridge"))
        lines = [f"DEVICE={interface.name}", f"TYPE={kinds.get(interface.kind, 'WireGuard')}"]
        lines += [f"MASTER={bond}", "SLAVE=yes"] if bond else []
        lines += [f"BRIDGE={bridge}"] if bridge else []
        lines += ["VLAN=yes"] if interface.kind == "vlan" else []
        fixed = interface.addressing == "fixed"
        lines += [f"BOOTPROTO={'dhcp' if interface.addressing == 'dhcp' else 'none'}"]
        lines += [f"IPADDR={interface.address}", "PREFIX=24"] if fixed else []
        path = f"/etc/sysconfig/network-scripts/ifcfg-{interface.name}"
        texts[path] = "\n".join(lines) + "\n"
    return texts


def wicked(network: ModelNetwork) -> dict[str, str]:
    texts = {}
    for interface in network.interfaces:
        own = {
            "bond": "BONDING_MASTER='yes'\n"
            + "".join(f"BONDING_SLAVE{n}='{name}'\n" for n, name in enumerate(interface.upon)),
            "bridge": f"BRIDGE='yes'\nBRIDGE_PORTS='{' '.join(interface.upon)}'\n",
            "vlan": "ETHERDEVICE='ens1'\nVLAN_ID='5'\n",
            "gre": "TUNNEL='gre'\n",
            "wireguard": "INTERFACETYPE='wireguard'\n",
        }
        said = {
            "fixed": f"BOOTPROTO='static'\nIPADDR='{interface.address}/24'\n",
            "dhcp": "BOOTPROTO='dhcp'\n",
            "none": "BOOTPROTO='none'\n",
        }[interface.addressing]
        path = f"/etc/sysconfig/network/ifcfg-{interface.name}"
        texts[path] = f"STARTMODE='auto'\n{said}{own.get(interface.kind, '')}"
    return texts


WRITERS: Final[Mapping[str, Writer]] = {
    "Netplan": netplan,
    "systemd-networkd": networkd,
    "NetworkManager": keyfiles,
    "ifupdown": ifupdown,
    "ifcfg": ifcfg,
    "wicked": wicked,
}
