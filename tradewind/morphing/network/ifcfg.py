# SPDX-License-Identifier: Apache-2.0
"""Networks of the Red Hat family in ifcfg files, for NetworkManager and the older initscripts.

Format: the initscripts' sysconfig.txt, nm-settings-ifcfg-rh(5).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.morphing.network import assignments
from tradewind.morphing.network.program import (
    Interface,
    Nic,
    Rewritten,
    address,
    compact,
    is_name,
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
_BUILT: Final = {"bond", "bridge", "vlan", "team", "tunnel", "gre", "ipip", "sit", "infiniband"}
_YES: Final = {"yes", "true", "1", "y", "t"}
_ADDRESS: Final = re.compile(r"IPADDR\d*|IPADDR_START")
_FIXED: Final = re.compile(
    r"(IPADDR|NETMASK|PREFIX|GATEWAY|BROADCAST|NETWORK)\d*|DNS\d+|DOMAIN|SEARCH|SRCADDR"
    r"|PEERDNS|PEERROUTES|GATEWAYDEV|ARPUPDATE"
)
_FIXED_6: Final = re.compile(
    r"IPV6ADDR|IPV6ADDR_SECONDARIES|IPV6_DEFAULTGW|IPV6_DEFAULTDEV|IPV6_AUTOCONF"
)
_GATEWAYS: Final = re.compile(r"GATEWAY\d*|GATEWAYDEV|IPV6_DEFAULTGW|IPV6_DEFAULTDEV")
_NOTHING: Final = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True)
class _Device:
    """One ifcfg file."""

    path: str
    values: Mapping[str, str]

    @property
    def name(self) -> str:
        """The interface: DEVICE, else what the file is called after."""
        named = self.values.get("DEVICE", "")
        suffix = self.path.removeprefix(f"{FOLDER}/ifcfg-")
        return named or ("" if self.mac else suffix)

    @property
    def mac(self) -> str:
        return address(self.values.get("HWADDR", ""))

    @property
    def alias(self) -> bool:
        """Whether it only adds addresses to another file's interface."""
        return ":" in self.path or "-range" in self.path or ":" in self.name

    @property
    def hardware(self) -> bool:
        kind = self.values.get("TYPE", "").lower()
        built = kind in _BUILT or kind.startswith("ovs") or "." in self.name
        marks = ("BONDING_OPTS", "BONDING_MASTER", "TEAM_CONFIG", "PHYSDEV", "VID", "VLAN_ID")
        virtual = any(self.values.get(mark) for mark in marks) or _is(self.values, "VLAN")
        return not (built or virtual) and kind not in {"wireless", "ppp", "modem"}

    @property
    def member(self) -> bool:
        keys = ("MASTER", "MASTER_UUID", "BRIDGE", "BRIDGE_UUID", "TEAM_MASTER", "OVS_BRIDGE")
        return any(self.values.get(key) for key in keys) or _is(self.values, "SLAVE")

    @property
    def fixed(self) -> bool:
        return any(_ADDRESS.fullmatch(key) for key in self.values)

    @property
    def fixed_6(self) -> bool:
        return bool(self.values.get("IPV6ADDR"))

    @property
    def asks(self) -> bool:
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
            fixed=device.fixed or device.fixed_6 or device.name in aliases,
            asks=device.asks,
            serves=device.member or device.name in parents,
        )
        for device in devices
        if not device.alias
    )
    return configured + mentioned(parents, configured)


def asking(texts: Mapping[str, str]) -> Rewritten:
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
        if device.fixed or device.fixed_6 or idle:
            new[device.path] = _automatic(device, texts[device.path], nic=idle)
    rewritten = {path: text for path, text in new.items() if text != texts[path]}
    lost = [d for d in devices if d.fixed or d.fixed_6]
    gone = [d.path for d in devices if d.alias] + _routes(texts, lost)
    if lost and GLOBAL in texts:
        text = assignments.changed(texts[GLOBAL], _GATEWAYS, {})
        rewritten |= {GLOBAL: text} if text != texts[GLOBAL] else {}
    return Rewritten(rewritten, tuple(gone))


def fresh(texts: Mapping[str, str], nics: Sequence[Nic]) -> dict[str, str]:
    """Write one file for each NIC; the initscripts find it by the name, if there is one."""
    wanted = {}
    for nic in nics:
        device = f"DEVICE={nic.name}\n" if nic.name else ""
        name = nic.name or f"tradewind-{compact(nic.mac)}"
        wanted[f"{FOLDER}/ifcfg-{name}"] = _FILE.format(device=device, mac=nic.mac.upper())
    return wanted


def _devices(texts: Mapping[str, str]) -> tuple[_Device, ...]:
    start = f"{FOLDER}/ifcfg-"
    found = [
        _Device(path, assignments.values(text))
        for path, text in texts.items()
        if path.startswith(start) and not path.endswith(_IGNORED)
    ]
    return tuple(device for device in found if not _is_loopback(device))


def _is_loopback(device: _Device) -> bool:
    return device.name.partition(":")[0] == "lo" or device.path.endswith("/ifcfg-lo")


def _is(values: Mapping[str, str], key: str) -> bool:
    return values.get(key, "").lower() in _YES


def _parents(devices: Iterable[_Device]) -> set[str]:
    """Name the interfaces that VLANs are built upon."""
    found = set()
    for device in devices:
        if not device.hardware and not device.alias:
            physical = device.values.get("PHYSDEV", "") or device.name.rpartition(".")[0]
            found.add(physical)
    return found - {""}


def _automatic(device: _Device, text: str, *, nic: bool) -> str:
    put = {"ONBOOT": "yes"} if nic else {}
    if device.fixed or (nic and not device.asks):
        put["BOOTPROTO"] = "dhcp"
        text = assignments.changed(text, _FIXED, put)
    if device.fixed_6:
        text = assignments.changed(text, _FIXED_6, put | {"IPV6_AUTOCONF": "yes"})
    return assignments.changed(text, _NOTHING, put)


def _routes(texts: Mapping[str, str], lost: Sequence[_Device]) -> list[str]:
    """Name the files with routes and rules of interfaces whose addresses are gone."""
    names = {d.name for d in lost} | {d.path.removeprefix(f"{FOLDER}/ifcfg-") for d in lost}
    kinds = ("route", "route6", "rule", "rule6")
    paths = [f"{FOLDER}/{kind}-{name}" for name in sorted(names) for kind in kinds]
    return [path for path in (*paths, *([_STATIC_ROUTES] if lost else [])) if path in texts]
