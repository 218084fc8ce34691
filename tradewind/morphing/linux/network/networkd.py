# SPDX-License-Identifier: Apache-2.0
"""Networks by systemd-networkd: .network files. Format: systemd.network(5), systemd.netdev(5)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.morphing.linux.network import matching, sections
from tradewind.morphing.linux.network.kinds import InterfaceKind, by_name
from tradewind.morphing.linux.network.program import (
    GuestNic,
    Interface,
    Rewritten,
    compact,
    is_name,
)
from tradewind.morphing.linux.network.sections import Section

NAME: Final = "systemd-networkd"
FOLDER: Final = "/etc/systemd/network"
PATTERNS: Final = tuple(
    f"{FOLDER}/{pattern}" for pattern in ("*.network", "*.netdev", "*.network.d/*.conf")
)
NEEDS: Final = (("/lib/systemd/systemd-networkd", "/usr/lib/systemd/systemd-networkd"),)
UNIT: Final = "systemd-networkd.service"
MODE: Final = 0o644

_OURS: Final = f"{FOLDER}/05-tradewind-"
# Path: bonds, bridges and VLANs have the address of a NIC, but no place on a bus.
_FILE: Final = """\
# Written by Tradewind: comes before files that match more than this NIC.
[Match]
MACAddress={mac}
Path=*pci-*

[Link]
RequiredForOnline=no

[Network]
DHCP=yes
"""
_YES: Final = {"yes", "true", "on", "1", "both", "ipv4"}
_MEMBER: Final = ("Bond", "Bridge", "VRF", "BatmanAdvanced")
_CARRIES: Final = ("VLAN", "MACVLAN", "MACVTAP", "IPVLAN", "VXLAN", "Tunnel")
_ADDRESSING: Final = re.compile("Address|Gateway|DNS|Domains|DHCP|DNSDefaultRoute")
# What keeps router advertisements away, where fixed IPv6 addresses made them needless.
_WITHOUT_ADVERTISEMENTS: Final = re.compile("IPv6AcceptRA|LinkLocalAddressing")
# What DHCP may not set while fixed addresses do.
_NOT_FROM_DHCP: Final = re.compile("UseRoutes|UseGateway|UseDNS|UseDomains|RouteTable")
_OF_DHCP: Final = {"DHCP", "DHCPv4", "DHCPv6", "IPv6AcceptRA"}
_STATIC: Final = {"Address", "Route", "Neighbor", "NextHop", "RoutingPolicyRule"}
_UPON_NICS: Final = {"bond", "bridge", "vlan"}
_KEPT_OFF: Final = {"manual", "down", "always-down"}


@dataclass(frozen=True, slots=True)
class _NetworkFile:
    """One .network file with its drop-ins, the file first; `made` is what .netdev files make."""

    files: tuple[tuple[str, tuple[Section, ...]], ...]
    made: Mapping[str, InterfaceKind]

    @property
    def parts(self) -> tuple[Section, ...]:
        return tuple(part for _, parts in self.files for part in parts)

    def words(self, section: str, key: str) -> tuple[str, ...]:
        return tuple(w for v in sections.values(self.parts, section, key) for w in v.split())

    @property
    def addresses(self) -> tuple[str, ...]:
        return (*self.words("Network", "Address"), *self.words("Address", "Address"))

    @property
    def has_addresses(self) -> bool:
        return bool(self.addresses) or any(part.name == "Address" for part in self.parts)

    @property
    def static(self) -> bool:
        """Whether it has fixed addresses that DHCP can replace."""
        return self.has_addresses and not self.unmanaged and InterfaceKind.OTHER not in self.kinds

    @property
    def member(self) -> bool:
        return any(self.words("Network", key) for key in _MEMBER)

    @property
    def carries(self) -> bool:
        return any(self.words("Network", key) for key in _CARRIES)

    @property
    def dhcp(self) -> bool:
        return sections.value(self.parts, "Network", "DHCP").lower() in _YES

    @property
    def unmanaged(self) -> bool:
        return sections.value(self.parts, "Link", "Unmanaged").lower() in _YES

    @property
    def off(self) -> str:
        """Return what keeps it off, if something does."""
        policy = sections.value(self.parts, "Link", "ActivationPolicy")
        kept = f"ActivationPolicy={policy}" if policy in _KEPT_OFF else ""
        return "Unmanaged=yes" if self.unmanaged else kept

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in matching.condition(self.parts, "Name") if is_name(name))

    @property
    def globs(self) -> tuple[str, ...]:
        """The patterns of its condition on names; "*" where there is none."""
        asked = matching.condition(self.parts, "Name")
        return tuple(glob for glob in asked if not is_name(glob)) if asked else ("*",)

    @property
    def has_pattern(self) -> bool:
        """Whether it fits names that it does not list."""
        positive = any(not glob.startswith("!") for glob in self.globs)
        return positive or not self.names

    def kind(self, name: str) -> InterfaceKind:
        """Return what it is that has this name, or fits this pattern."""
        kinds, types = (matching.condition(self.parts, key) for key in ("Kind", "Type"))
        if any(not kind.startswith("!") for kind in kinds):
            return InterfaceKind.UPON_NICS if set(kinds) <= _UPON_NICS else InterfaceKind.OTHER
        if set(types) & _UPON_NICS:
            return InterfaceKind.UPON_NICS
        if types and not matching.accepts(types, "ether"):
            return InterfaceKind.OTHER
        sample = re.sub(r"[*?]+", "0", re.sub(r"\[[^]]*\]", "0", name))
        return self.made.get(name) or by_name(sample)

    @property
    def kinds(self) -> set[InterfaceKind]:
        globs = [glob for glob in self.globs if not glob.startswith("!")] or ["*"]
        return {self.kind(name) for name in (*self.names, *(globs if self.has_pattern else ()))}


def interfaces(texts: Mapping[str, str]) -> tuple[Interface, ...]:
    """Describe what the files match: one interface for each name, address or list of patterns."""
    return tuple(i for network in _networks(texts) for i in _interfaces(network))


def to_dhcp(texts: Mapping[str, str]) -> Rewritten:
    """Replace fixed addresses by DHCP, also for NICs that have none and serve nothing.

    What is kept off on purpose stays so.
    """
    new: dict[str, str] = {}
    for network in _networks(texts):
        serves = network.member or network.carries or network.dhcp
        idle = network.kinds == {InterfaceKind.NIC} and not (serves or network.off)
        if network.static or idle:
            has_addresses_6 = any(":" in address for address in network.addresses)
            main, *drop_ins = network.files
            new[main[0]] = sections.joined(_automatic(main[1], has_addresses_6=has_addresses_6))
            new |= {
                path: sections.joined(_without(parts, has_addresses_6=has_addresses_6))
                for path, parts in drop_ins
            }
    return Rewritten({path: text for path, text in new.items() if text != texts[path]})


def dhcp_config(texts: Mapping[str, str], nics: Sequence[GuestNic]) -> dict[str, str]:
    """Write one file for each NIC."""
    return {f"{_OURS}{compact(nic.mac)}.network": _FILE.format(mac=nic.mac) for nic in nics}


def _networks(texts: Mapping[str, str]) -> tuple[_NetworkFile, ...]:
    mains = [p for p in texts if p.startswith(FOLDER + "/") and p.endswith(".network")]
    made = _made(texts)
    return tuple(
        _NetworkFile(
            tuple(
                (path, sections.parse(texts[path]))
                for path in (main, *sorted(p for p in texts if p.startswith(f"{main}.d/")))
            ),
            made,
        )
        for main in mains
    )


def _made(texts: Mapping[str, str]) -> dict[str, InterfaceKind]:
    """Name what .netdev files make, and say what it is."""
    found = {}
    for path, text in texts.items():
        if path.startswith(FOLDER) and path.endswith(".netdev"):
            parts = sections.parse(text)
            kind = sections.value(parts, "NetDev", "Kind").lower()
            upon = InterfaceKind.UPON_NICS if kind in _UPON_NICS else InterfaceKind.OTHER
            found[sections.value(parts, "NetDev", "Name")] = upon
    return found


def _interfaces(network: _NetworkFile) -> tuple[Interface, ...]:
    allowed = matching.macs(network.parts)
    unmet = "MACAddress=" if allowed == () else matching.unmet(network.parts)
    return tuple(
        Interface(
            name=name,
            mac=mac,
            hardware=network.kind(name or pattern) is InterfaceKind.NIC,
            static=network.static,
            dhcp=network.dhcp and not network.off,
            is_port_or_parent=network.member or network.carries,
            pattern=pattern,
            unmet_match=unmet,
            off=network.off,
            keeps_addresses=network.has_addresses and not network.static,
        )
        for name, mac, pattern in _identities(network, allowed or ())
    )


def _identities(network: _NetworkFile, macs: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return what tells its interfaces: name, address, patterns.

    All conditions hold together: where both are listed, each address has one of the names.
    """
    if not matching.has_condition(network.parts):
        return []
    pattern = " ".join(network.globs) if network.has_pattern else ""
    names = network.names
    if names and macs:
        return [(names[min(n, len(names) - 1)], mac, "") for n, mac in enumerate(macs)]
    if macs:
        return [("", mac, pattern) for mac in macs]
    return [*((name, "", "") for name in names), *([("", "", pattern)] if pattern else [])]


def _without(parts: Sequence[Section], *, has_addresses_6: bool) -> list[Section]:
    """Leave out what belongs to fixed addresses."""
    addressing = [_ADDRESSING, *([_WITHOUT_ADVERTISEMENTS] if has_addresses_6 else [])]
    drop = {"Network": addressing, **{name: [_NOT_FROM_DHCP] for name in _OF_DHCP}}
    left = []
    for part in (part for part in parts if part.name not in _STATIC):
        kept = part
        for keys in drop.get(part.name, []):
            kept = kept.without(keys)
        left.append(kept)
    return left


def _automatic(parts: Sequence[Section], *, has_addresses_6: bool) -> list[Section]:
    left = _without(parts, has_addresses_6=has_addresses_6)
    for number, part in enumerate(left):
        if part.name == "Network":
            return [*left[:number], part.having("DHCP", "yes"), *left[number + 1 :]]
    return [*left, Section("Network", "\n[Network]\n", ("DHCP=yes\n",))]
