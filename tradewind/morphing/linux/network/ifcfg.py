# SPDX-License-Identifier: Apache-2.0
"""Networks of the Red Hat family in ifcfg files, for NetworkManager and the older initscripts.

Format: the initscripts' sysconfig.txt, nm-settings-ifcfg-rh(5).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tradewind.model.mac import read_mac
from tradewind.morphing.linux.network import assignments
from tradewind.morphing.linux.network.kinds import InterfaceKind, by_name
from tradewind.morphing.linux.network.program import (
    GuestNic,
    Interface,
    Rewritten,
    compact,
    is_name,
    is_zero,
    mentioned,
)

NAME: Final = "ifcfg"
FOLDER: Final = "/etc/sysconfig/network-scripts"
GLOBAL: Final = "/etc/sysconfig/network"
_STATIC_ROUTES: Final = "/etc/sysconfig/static-routes"
PATTERNS: Final = (
    f"{FOLDER}/ifcfg-*",
    f"{FOLDER}/route-*",
    f"{FOLDER}/route6-*",
    f"{FOLDER}/rule-*",
    f"{FOLDER}/rule6-*",
    GLOBAL,
    _STATIC_ROUTES,
)
NEEDS: Final = (
    (f"{FOLDER}/ifup", f"{FOLDER}/ifup-eth", "/usr/sbin/NetworkManager"),
    (FOLDER,),
)
UNIT: Final = ""
MODE: Final = 0o644

_FILE: Final = """\
# Written by Tradewind.
{device}HWADDR={mac}
TYPE=Ethernet
BOOTPROTO=dhcp
ONBOOT=yes
"""
_IGNORED: Final = (".bak", ".orig", ".rpmsave", ".rpmnew", ".rpmorig", ".old", ".save", "~")
# Beside DEVICETYPE=ovs it is TYPE= that says what it is.
_NICS: Final = {"", "ethernet", "ovsport", "teamport"}
_UPON_NICS: Final = {"bond", "bridge", "vlan", "team"}
_MARKS: Final = ("BONDING_OPTS", "BONDING_MASTER", "TEAM_CONFIG", "PHYSDEV", "VID", "VLAN_ID")
_UPPER: Final = ("MASTER", "TEAM_MASTER", "BRIDGE")
_YES: Final = {"yes", "true", "1", "y", "t"}
_ADDRESS: Final = re.compile(r"IPADDR\d*|IPADDR_START")
_STATIC: Final = re.compile(
    r"(IPADDR|NETMASK|PREFIX|GATEWAY|BROADCAST|NETWORK)\d*|DNS\d+|DOMAIN|SEARCH|SRCADDR"
    r"|PEERDNS|PEERROUTES|GATEWAYDEV|ARPUPDATE|IPV4_ROUTE_TABLE|ROUTING_RULE_\d+"
)
_FIXED_6: Final = re.compile(
    r"IPV6ADDR|IPV6ADDR_SECONDARIES|IPV6_DEFAULTGW|IPV6_DEFAULTDEV|IPV6_AUTOCONF"
    r"|IPV6_ROUTE_TABLE|ROUTING_RULE6_\d+"
)
_GATEWAYS: Final = re.compile(r"GATEWAY\d*|GATEWAYDEV|IPV6_DEFAULTGW|IPV6_DEFAULTDEV")
_NOTHING: Final = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True)
class _IfcfgFile:
    """One ifcfg file; `uppers` are the bonds, bridges and teams that any file names as its own."""

    path: str
    values: Mapping[str, str]
    uppers: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The interface: DEVICE, else what the file is called after."""
        named = self.values.get("DEVICE", "")
        suffix = self.path.removeprefix(f"{FOLDER}/ifcfg-")
        return named or ("" if self.mac else suffix)

    @property
    def mac(self) -> str:
        return read_mac(self.values.get("HWADDR", ""))

    @property
    def alias(self) -> bool:
        """Whether it only adds addresses to another file's interface."""
        return ":" in self.path or "-range" in self.path or ":" in self.name

    @property
    def kind(self) -> InterfaceKind:
        """Return what it is: by its type, its options, those that name it, and its name.

        A bond of Red Hat 5 and 6 may have its options in modprobe.d, and nothing here.
        """
        types = {self.values.get(key, "").lower() for key in ("TYPE", "DEVICETYPE")}
        if types - _NICS - _UPON_NICS - {"ovs"} or by_name(self.name) is InterfaceKind.OTHER:
            return InterfaceKind.OTHER
        marked = any(self.values.get(mark) for mark in _MARKS) or _is(self.values, "VLAN")
        if types & _UPON_NICS or marked or self.name in self.uppers:
            return InterfaceKind.UPON_NICS
        return by_name(self.name)

    @property
    def hardware(self) -> bool:
        return self.kind is InterfaceKind.NIC

    @property
    def member(self) -> bool:
        keys = ("MASTER", "MASTER_UUID", "BRIDGE", "BRIDGE_UUID", "TEAM_MASTER", "OVS_BRIDGE")
        port = self.values.get("TYPE", "").lower() in {"ovsport", "teamport"}
        return any(self.values.get(key) for key in keys) or _is(self.values, "SLAVE") or port

    @property
    def has_addresses(self) -> bool:
        """Whether IPv4 addresses are written down; 0.0.0.0 stands for none."""
        return any(_ADDRESS.fullmatch(k) and not is_zero(v) for k, v in self.values.items())

    @property
    def has_addresses_6(self) -> bool:
        return bool(self.values.get("IPV6ADDR"))

    @property
    def static(self) -> bool:
        """Whether IPv4 addresses are written down that DHCP can replace."""
        return self.has_addresses and self.kind is not InterfaceKind.OTHER

    @property
    def static_6(self) -> bool:
        return self.has_addresses_6 and self.kind is not InterfaceKind.OTHER

    @property
    def dhcp(self) -> bool:
        return self.values.get("BOOTPROTO", "").lower() in {"dhcp", "bootp"}


def interfaces(texts: Mapping[str, str]) -> tuple[Interface, ...]:
    """Describe what the files configure; files that only add addresses belong to another's."""
    devices = _devices(texts)
    aliases = {d.name.partition(":")[0] for d in devices if d.alias}
    parents = _parents(devices)
    configured = tuple(
        Interface(
            name=device.name if is_name(device.name) else "",
            mac=device.mac,
            hardware=device.hardware,
            static=device.static or device.static_6 or device.name in aliases,
            dhcp=device.dhcp,
            is_port_or_parent=device.member or device.name in parents,
            keeps_addresses=device.kind is InterfaceKind.OTHER
            and (device.has_addresses or device.has_addresses_6),
        )
        for device in devices
        if not device.alias
    )
    return configured + mentioned(parents, configured)


def to_dhcp(texts: Mapping[str, str]) -> Rewritten:
    """Set BOOTPROTO=dhcp where addresses were fixed, and on NICs that have none and serve nothing.

    Routes, rules and gateways that went with the addresses go too.
    """
    devices = _devices(texts)
    parents = _parents(devices)
    new: dict[str, str] = {}
    for device in devices:
        if device.alias or _is_loopback(device):
            continue
        idle = device.hardware and not device.member and device.name not in parents
        if device.static or device.static_6 or idle:
            new[device.path] = _automatic(device, texts[device.path], nic=idle)
    rewritten = {path: text for path, text in new.items() if text != texts[path]}
    lost = [d for d in devices if d.static or d.static_6]
    kept = {d.name for d in devices if d.kind is InterfaceKind.OTHER}
    aliases = [d.path for d in devices if d.alias and d.name.partition(":")[0] not in kept]
    gone = aliases + _routes(texts, lost)
    if lost and GLOBAL in texts:
        text = assignments.changed(texts[GLOBAL], _GATEWAYS, {})
        rewritten |= {GLOBAL: text} if text != texts[GLOBAL] else {}
    return Rewritten(rewritten, tuple(gone))


def dhcp_config(texts: Mapping[str, str], nics: Sequence[GuestNic]) -> dict[str, str]:
    """Write one file for each NIC; the initscripts find it by the name, if there is one."""
    wanted = {}
    for nic in nics:
        device = f"DEVICE={nic.name}\n" if nic.name else ""
        name = nic.name or f"tradewind-{compact(nic.mac)}"
        wanted[f"{FOLDER}/ifcfg-{name}"] = _FILE.format(device=device, mac=nic.mac.upper())
    return wanted


def _devices(texts: Mapping[str, str]) -> tuple[_IfcfgFile, ...]:
    start = f"{FOLDER}/ifcfg-"
    found = [
        _IfcfgFile(path, assignments.values(text))
        for path, text in texts.items()
        if path.startswith(start) and not path.endswith(_IGNORED)
    ]
    uppers = frozenset(f.values[key] for f in found for key in _UPPER if f.values.get(key))
    named = (replace(device, uppers=uppers) for device in found)
    return tuple(device for device in named if not _is_loopback(device))


def _is_loopback(device: _IfcfgFile) -> bool:
    return device.name.partition(":")[0] == "lo" or device.path.endswith("/ifcfg-lo")


def _is(values: Mapping[str, str], key: str) -> bool:
    return values.get(key, "").lower() in _YES


def _parents(devices: Iterable[_IfcfgFile]) -> set[str]:
    """Name the interfaces that VLANs, and bonds of Open vSwitch, are built upon."""
    found = set()
    for device in devices:
        found |= set(device.values.get("BOND_IFACES", "").split())
        if not device.hardware and not device.alias:
            physical = device.values.get("PHYSDEV", "") or device.name.rpartition(".")[0]
            found.add(physical)
    return found - {""}


def _automatic(device: _IfcfgFile, text: str, *, nic: bool) -> str:
    put = {"ONBOOT": "yes"} if nic else {}
    if device.static or (nic and not device.dhcp):
        put["BOOTPROTO"] = "dhcp"
        text = assignments.changed(text, _STATIC, put)
    if device.static_6:
        text = assignments.changed(text, _FIXED_6, put | {"IPV6_AUTOCONF": "yes"})
    return assignments.changed(text, _NOTHING, put)


def _routes(texts: Mapping[str, str], lost: Sequence[_IfcfgFile]) -> list[str]:
    """Name the files with routes and rules of interfaces whose addresses are gone."""
    names = {d.name for d in lost} | {d.path.removeprefix(f"{FOLDER}/ifcfg-") for d in lost}
    kinds = ("route", "route6", "rule", "rule6")
    paths = [f"{FOLDER}/{kind}-{name}" for name in sorted(names) for kind in kinds]
    return [path for path in (*paths, *([_STATIC_ROUTES] if lost else [])) if path in texts]
