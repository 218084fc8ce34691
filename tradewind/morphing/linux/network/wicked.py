# SPDX-License-Identifier: Apache-2.0
"""Networks of the SUSE family: /etc/sysconfig/network, read by wicked and by the older netcontrol.

Format: ifcfg(5), ifcfg-bonding(5), ifcfg-bridge(5), ifcfg-vlan(5), routes(5).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.morphing.linux.network import assignments
from tradewind.morphing.linux.network.kinds import InterfaceKind, by_name
from tradewind.morphing.linux.network.program import (
    GuestNic,
    Interface,
    Rewritten,
    is_name,
    is_zero,
    mentioned,
)

NAME: Final = "wicked"
FOLDER: Final = "/etc/sysconfig/network"
CONFIG: Final = f"{FOLDER}/config"
_ROUTES: Final = f"{FOLDER}/routes"
PATTERNS: Final = (
    f"{FOLDER}/ifcfg-*",
    f"{FOLDER}/ifroute-*",
    f"{FOLDER}/ifrule-*",
    _ROUTES,
    CONFIG,
)
NEEDS: Final = (
    ("/usr/sbin/wicked", f"{FOLDER}/scripts/ifup-dhcp", f"{FOLDER}/scripts/functions.netconfig"),
)
UNIT: Final = "wicked.service"
MODE: Final = 0o600

_FILE: Final = """\
# Written by Tradewind.
BOOTPROTO='dhcp'
STARTMODE='auto'
"""
_IGNORED: Final = (".bak", ".orig", ".rpmsave", ".rpmnew", ".old", "~", ".template")
# IPADDR, IPADDR1, IPADDR_lan; but not NETWORKMANAGER.
_STATIC: Final = re.compile(
    r"(IPADDR|NETMASK|PREFIXLEN|BROADCAST|NETWORK|LABEL|SCOPE|REMOTE_IPADDR|PEER|GATEWAY)([_\d].*)?"
)
_ADDRESS: Final = re.compile(r"IPADDR([_\d].*)?")
_MEMBERS: Final = re.compile(
    r"BONDING_SLAVE_?\d+|TEAM_PORT_DEVICE_?\d+|OVS_BRIDGE_PORT_DEVICE_?\d+"
)
_PARENTS: Final = (
    "ETHERDEVICE", "MACVLAN_DEVICE", "MACVTAP_DEVICE", "VXLAN_DEVICE", "IPVLAN_DEVICE",
)  # fmt: skip
_UPON_NICS: Final = ("BONDING_MASTER", "BRIDGE", "TEAM_RUNNER", "ETHERDEVICE", "VLAN")
_OTHERS: Final = (
    "OVS_BRIDGE", "TUNNEL", "TUNNEL_DEVICE", "VXLAN", "VXLAN_ID", "DUMMY", "WIRELESS",
    "WIRELESS_ESSID", "PPPMODE", "IPOIB_MODE", "MACVLAN_DEVICE", "MACVTAP_DEVICE", "VXLAN_DEVICE",
    "IPVLAN_DEVICE",
)  # fmt: skip
# INTERFACETYPE= says it, where no other variable does.
_TYPES: Final = {"", "eth", "ethernet"}
_TYPES_UPON_NICS: Final = {"bond", "bridge", "vlan", "team"}
_NOT: Final = {"", "no", "off", "false"}
_NOTHING: Final = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True)
class _WickedFile:
    """One ifcfg file, called after its interface."""

    path: str
    values: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.path.removeprefix(f"{FOLDER}/ifcfg-")

    @property
    def kind(self) -> InterfaceKind:
        type_ = self.values.get("INTERFACETYPE", "").lower()
        if self._says(_OTHERS) or type_ not in _TYPES | _TYPES_UPON_NICS:
            return InterfaceKind.OTHER
        if self._says(_UPON_NICS) or type_ in _TYPES_UPON_NICS:
            return InterfaceKind.UPON_NICS
        return by_name(self.name)

    @property
    def hardware(self) -> bool:
        return self.kind is InterfaceKind.NIC

    def _says(self, marks: Iterable[str]) -> bool:
        return any(self.values.get(mark, "").lower() not in _NOT for mark in marks)

    @property
    def upon(self) -> set[str]:
        """Name the interfaces that it is built upon."""
        members = {value for key, value in self.values.items() if _MEMBERS.fullmatch(key)}
        ports = set(self.values.get("BRIDGE_PORTS", "").split())
        parents = {self.values.get(key, "") for key in _PARENTS} | {self.name.rpartition(".")[0]}
        return (members | ports | parents) - {""}

    @property
    def has_addresses(self) -> bool:
        """Whether addresses are written down; YaST gives ports 0.0.0.0, which stands for none."""
        return any(
            _ADDRESS.fullmatch(key) and value and not is_zero(value)
            for key, value in self.values.items()
        )

    @property
    def static(self) -> bool:
        """Whether addresses are written down that DHCP can replace."""
        return self.has_addresses and self.kind is not InterfaceKind.OTHER

    @property
    def protocol(self) -> str:
        return self.values.get("BOOTPROTO", "").lower()

    @property
    def dhcp(self) -> bool:
        return self.protocol.startswith("dhcp")


def interfaces(texts: Mapping[str, str]) -> tuple[Interface, ...]:
    """Describe what the files configure."""
    devices = _devices(texts)
    serving = _serving(devices)
    configured = tuple(
        Interface(
            name=device.name if is_name(device.name) else "",
            hardware=device.hardware,
            static=device.static,
            dhcp=device.dhcp,
            is_port_or_parent=device.name in serving,
            keeps_addresses=device.has_addresses and not device.static,
        )
        for device in devices
    )
    return configured + mentioned(serving, configured)


def to_dhcp(texts: Mapping[str, str]) -> Rewritten:
    """Set BOOTPROTO='dhcp' where addresses were fixed, and on NICs that serve nothing.

    Routes and rules that went with the addresses go, and name servers that were written down.
    """
    devices = _devices(texts)
    serving = _serving(devices)
    new: dict[str, str] = {}
    for device in devices:
        nic = device.hardware and device.name not in serving
        if device.static or nic:
            new[device.path] = _automatic(device, texts[device.path], nic=nic)
    lost = [device.name for device in devices if device.static]
    if lost and CONFIG in texts:
        new[CONFIG] = _without_name_servers(texts[CONFIG])
    kinds = ("ifroute", "ifrule")
    old = [f"{FOLDER}/{kind}-{name}" for name in lost for kind in kinds]
    old += [_ROUTES] if lost else []
    return Rewritten(
        {path: text for path, text in new.items() if text != texts[path]},
        tuple(path for path in old if path in texts),
    )


def dhcp_config(texts: Mapping[str, str], nics: Sequence[GuestNic]) -> dict[str, str]:
    """Write one file for each NIC that has a name: here they are found by nothing else."""
    return {f"{FOLDER}/ifcfg-{nic.name}": _FILE for nic in nics if nic.name}


def _devices(texts: Mapping[str, str]) -> tuple[_WickedFile, ...]:
    start = f"{FOLDER}/ifcfg-"
    return tuple(
        _WickedFile(path, assignments.values(text))
        for path, text in texts.items()
        if path.startswith(start) and not path.endswith((*_IGNORED, "/ifcfg-lo"))
    )


def _serving(devices: Iterable[_WickedFile]) -> set[str]:
    return {name for device in devices for name in device.upon}


def _automatic(device: _WickedFile, text: str, *, nic: bool) -> str:
    put = {}
    if device.static or not device.dhcp:
        put["BOOTPROTO"] = device.protocol if device.protocol == "dhcp6" else "dhcp"
    if nic and device.values.get("STARTMODE", "auto") in {"off", "manual", "ifplugd"}:
        put["STARTMODE"] = "auto"
    drop = _STATIC if device.static or nic else _NOTHING
    return assignments.changed(text, drop, put)


def _without_name_servers(text: str) -> str:
    values = assignments.values(text)
    put = {
        key: ""
        for key in ("NETCONFIG_DNS_STATIC_SERVERS", "NETCONFIG_DNS_STATIC_SEARCHLIST")
        if values.get(key)
    }
    # With "STATIC", what DHCP says of name servers is not used.
    if values.get("NETCONFIG_DNS_POLICY", "") in {"STATIC", "STATIC_FALLBACK"}:
        put["NETCONFIG_DNS_POLICY"] = "auto"
    return assignments.changed(text, _NOTHING, put)
