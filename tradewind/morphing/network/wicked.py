# SPDX-License-Identifier: Apache-2.0
"""Networks of the SUSE family: /etc/sysconfig/network, read by wicked and by the older netcontrol.

Format: ifcfg(5), ifcfg-bonding(5), ifcfg-bridge(5), ifcfg-vlan(5), routes(5).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.morphing.network import assignments
from tradewind.morphing.network.program import Interface, Nic, Rewritten, is_name, mentioned

NAME: Final = "wicked"
FOLDER: Final = "/etc/sysconfig/network"
CONFIG: Final = f"{FOLDER}/config"
_ROUTES: Final = f"{FOLDER}/routes"
PATTERNS: Final = (f"{FOLDER}/ifcfg-*", f"{FOLDER}/ifroute-*", _ROUTES, CONFIG)
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
_FIXED: Final = re.compile(
    r"(IPADDR|NETMASK|PREFIXLEN|BROADCAST|NETWORK|LABEL|SCOPE|REMOTE_IPADDR|PEER|GATEWAY)([_\d].*)?"
)
_ADDRESS: Final = re.compile(r"IPADDR([_\d].*)?")
_MEMBERS: Final = re.compile(
    r"BONDING_SLAVE_?\d+|TEAM_PORT_DEVICE_?\d+|OVS_BRIDGE_PORT_DEVICE_?\d+"
)
_PARENTS: Final = ("ETHERDEVICE", "MACVLAN_DEVICE", "VXLAN_DEVICE", "IPVLAN_DEVICE")
_BUILT: Final = (
    "BONDING_MASTER", "BRIDGE", "TEAM_RUNNER", "OVS_BRIDGE", "TUNNEL", "VXLAN_ID", "DUMMY",
    "WIRELESS", "WIRELESS_ESSID", "PPPMODE", *_PARENTS,
)  # fmt: skip
_NOT: Final = {"", "no", "off", "false"}
_NOTHING: Final = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True)
class _Device:
    """One ifcfg file, called after its interface."""

    path: str
    values: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.path.removeprefix(f"{FOLDER}/ifcfg-")

    @property
    def hardware(self) -> bool:
        return all(self.values.get(mark, "").lower() in _NOT for mark in _BUILT)

    @property
    def upon(self) -> set[str]:
        """Name the interfaces that it is built upon."""
        members = {value for key, value in self.values.items() if _MEMBERS.fullmatch(key)}
        ports = set(self.values.get("BRIDGE_PORTS", "").split())
        return (members | ports | {self.values.get(key, "") for key in _PARENTS}) - {""}

    @property
    def fixed(self) -> bool:
        return any(_ADDRESS.fullmatch(key) and value for key, value in self.values.items())

    @property
    def protocol(self) -> str:
        return self.values.get("BOOTPROTO", "").lower()

    @property
    def asks(self) -> bool:
        return self.protocol.startswith("dhcp")


def interfaces(texts: Mapping[str, str]) -> tuple[Interface, ...]:
    """Describe what the files configure."""
    devices = _devices(texts)
    serving = _serving(devices)
    configured = tuple(
        Interface(
            name=device.name if is_name(device.name) else "",
            hardware=device.hardware,
            fixed=device.fixed,
            asks=device.asks,
            serves=device.name in serving,
        )
        for device in devices
    )
    return configured + mentioned(serving, configured)


def asking(texts: Mapping[str, str]) -> Rewritten:
    """Set BOOTPROTO='dhcp' where addresses were fixed, and on NICs that serve nothing.

    Routes that went with the addresses go, and name servers that were written down.
    """
    devices = _devices(texts)
    serving = _serving(devices)
    new: dict[str, str] = {}
    for device in devices:
        nic = device.hardware and device.name not in serving
        if device.fixed or nic:
            new[device.path] = _automatic(device, texts[device.path], nic=nic)
    lost = [device.name for device in devices if device.fixed]
    if lost and CONFIG in texts:
        new[CONFIG] = _without_name_servers(texts[CONFIG])
    old = [*(f"{FOLDER}/ifroute-{name}" for name in lost), *([_ROUTES] if lost else [])]
    return Rewritten(
        {path: text for path, text in new.items() if text != texts[path]},
        tuple(path for path in old if path in texts),
    )


def fresh(texts: Mapping[str, str], nics: Sequence[Nic]) -> dict[str, str]:
    """Write one file for each NIC that has a name: here they are found by nothing else."""
    return {f"{FOLDER}/ifcfg-{nic.name}": _FILE for nic in nics if nic.name}


def _devices(texts: Mapping[str, str]) -> tuple[_Device, ...]:
    start = f"{FOLDER}/ifcfg-"
    return tuple(
        _Device(path, assignments.values(text))
        for path, text in texts.items()
        if path.startswith(start) and not path.endswith((*_IGNORED, "/ifcfg-lo"))
    )


def _serving(devices: Iterable[_Device]) -> set[str]:
    return {name for device in devices for name in device.upon}


def _automatic(device: _Device, text: str, *, nic: bool) -> str:
    put = {}
    if device.fixed or not device.asks:
        put["BOOTPROTO"] = device.protocol if device.protocol == "dhcp6" else "dhcp"
    if nic and device.values.get("STARTMODE", "auto") in {"off", "manual", "ifplugd"}:
        put["STARTMODE"] = "auto"
    drop = _FIXED if device.fixed else _NOTHING
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
