# SPDX-License-Identifier: Apache-2.0
"""Networks by systemd-networkd: .network files. Format: systemd.network(5), systemd.netdev(5)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.morphing.network import sections
from tradewind.morphing.network.program import (
    Interface,
    Nic,
    Rewritten,
    address,
    compact,
    is_name,
)
from tradewind.morphing.network.sections import Section

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
_STATIC: Final = {"Address", "Route", "Neighbor", "NextHop"}


@dataclass(frozen=True, slots=True)
class _Network:
    """One .network file with its drop-ins, the file first."""

    files: tuple[tuple[str, tuple[Section, ...]], ...]

    @property
    def parts(self) -> tuple[Section, ...]:
        return tuple(part for _, parts in self.files for part in parts)

    def words(self, section: str, key: str) -> tuple[str, ...]:
        return tuple(w for v in sections.values(self.parts, section, key) for w in v.split())

    @property
    def fixed(self) -> bool:
        return bool(
            self.words("Network", "Address") or any(part.name == "Address" for part in self.parts)
        )

    @property
    def member(self) -> bool:
        return any(self.words("Network", key) for key in _MEMBER)

    @property
    def carries(self) -> bool:
        return any(self.words("Network", key) for key in _CARRIES)

    @property
    def asks(self) -> bool:
        return sections.value(self.parts, "Network", "DHCP").lower() in _YES


def interfaces(texts: Mapping[str, str]) -> tuple[Interface, ...]:
    """Describe what the files match: one interface for each name or address."""
    built = _built(texts)
    return tuple(i for network in _networks(texts) for i in _interfaces(network, built))


def asking(texts: Mapping[str, str]) -> Rewritten:
    """Replace fixed addresses by DHCP, also for NICs that have none and serve nothing."""
    built = _built(texts)
    new: dict[str, str] = {}
    for network in _networks(texts):
        hardware = all(i.hardware for i in _interfaces(network, built))
        idle = hardware and not (network.member or network.carries or network.asks)
        if network.fixed or idle:
            main, *drop_ins = network.files
            new[main[0]] = sections.joined(_automatic(main[1]))
            new |= {path: sections.joined(_without(parts)) for path, parts in drop_ins}
    return Rewritten({path: text for path, text in new.items() if text != texts[path]})


def fresh(texts: Mapping[str, str], nics: Sequence[Nic]) -> dict[str, str]:
    """Write one file for each NIC."""
    return {f"{_OURS}{compact(nic.mac)}.network": _FILE.format(mac=nic.mac) for nic in nics}


def _networks(texts: Mapping[str, str]) -> tuple[_Network, ...]:
    mains = [p for p in texts if p.startswith(FOLDER + "/") and p.endswith(".network")]
    return tuple(
        _Network(
            tuple(
                (path, sections.parse(texts[path]))
                for path in (main, *(p for p in texts if p.startswith(f"{main}.d/")))
            )
        )
        for main in mains
    )


def _built(texts: Mapping[str, str]) -> set[str]:
    """Name what .netdev files make."""
    return {
        sections.value(sections.parse(text), "NetDev", "Name")
        for path, text in texts.items()
        if path.startswith(FOLDER) and path.endswith(".netdev")
    }


def _interfaces(network: _Network, built: set[str]) -> tuple[Interface, ...]:
    void = [k for k in ("Path", "Driver") if network.words("Match", k) and not _anywhere(network)]
    macs = [*network.words("Match", "MACAddress"), *network.words("Match", "PermanentMACAddress")]
    names = network.words("Match", "Name")
    known = [("", address(mac)) for mac in macs if address(mac)]
    if not known:
        known = [(name, "") for name in names if is_name(name)]
    globs = " ".join(name for name in names if not is_name(name) and not name.startswith("!"))
    if not known:
        known = [("", "")]
    return tuple(
        Interface(
            name=name,
            mac=mac,
            hardware=name not in built and not _is_virtual(network),
            fixed=network.fixed,
            asks=network.asks,
            serves=network.member or network.carries,
            pattern="" if name or mac else globs or "*",
            void=f"{void[0]}=" if void else "",
        )
        for name, mac in known
    )


def _anywhere(network: _Network) -> bool:
    """Whether conditions on bus and driver hold for a VirtIO NIC, as ours do."""
    paths, drivers = network.words("Match", "Path"), network.words("Match", "Driver")
    return ("*pci-*" in paths or not paths) and ("virtio_net" in drivers or not drivers)


def _is_virtual(network: _Network) -> bool:
    kinds = set(network.words("Match", "Type")) | set(network.words("Match", "Kind"))
    return bool(kinds & {"bond", "bridge", "vlan", "wlan", "loopback", "veth", "tun", "wwan"})


def _without(parts: Sequence[Section]) -> list[Section]:
    left = [part for part in parts if part.name not in _STATIC]
    return [part.without(_ADDRESSING) if part.name == "Network" else part for part in left]


def _automatic(parts: Sequence[Section]) -> list[Section]:
    left = _without(parts)
    for number, part in enumerate(left):
        if part.name == "Network":
            return [*left[:number], part.having("DHCP", "yes"), *left[number + 1 :]]
    return [*left, Section("Network", "\n[Network]\n", ("DHCP=yes\n",))]
