# SPDX-License-Identifier: Apache-2.0
"""Stanzas of ifupdown's files, and what one says by itself. Format: interfaces(5)."""

import re
from dataclasses import dataclass
from typing import Final

from tradewind.morphing.linux.network.kinds import InterfaceKind, by_name
from tradewind.morphing.linux.network.program import is_zero

# Words that begin a new stanza; everything else belongs to the one before.
_STANZA: Final = re.compile(
    r"\s*(iface|mapping|auto|allow-\S+|source|source-directory|rename|no-auto-down|no-scripts"
    r"|template)\s"
)
HOOKS: Final = {"up", "post-up", "pre-up", "down", "post-down", "pre-down"}
MEMBER: Final = {"bond-master", "bond_master", "vrf"}
# Options that name the interfaces below one.
_UPON: Final = {
    "bond-slaves", "bond_slaves", "slaves", "bond-members", "bridge_ports", "bridge-ports",
    "vlan-raw-device", "vlan_raw_device", "requires",
}  # fmt: skip
_FAMILIES: Final = {"inet", "inet6"}
_OTHER_METHODS: Final = {"loopback", "tunnel", "v4tunnel", "6to4", "ppp", "wvdial"}
_OTHER_OPTION: Final = re.compile(
    r"(tunnel|vxlan|wireguard|vrf-table|link-type|gre|pre-up\s+(\S*/)?(ip\s+tunnel|wg|tunctl)\s)",
    re.IGNORECASE,
)
_UPON_OPTION: Final = re.compile(
    r"(bridge|bond|slaves|vlan|pre-up\s+(\S*/)?(brctl\s+addbr|vconfig\s+add)\s)", re.IGNORECASE
)
_MADE: Final = re.compile(r"pre-up\s+(?:\S*/)?ip\s+(?:-\S+\s+)*l\S*\s+add\s.*\btype\s+(\S+)")
_USED: Final = {"bond", "bridge", "vlan", "vlan-raw"}
_OTHERS_USED: Final = {"dummy", "wireguard", "tunnel", "gre", "vrf", "vxlan", "ppp", "veth"}
# Commands that do to routes what "gateway" does, and to rules; the addresses that they go through
# are gone. Some of ip's options have an argument. What more a line does stays, and is told.
_ROUTE: Final = re.compile(
    r"\s*\S+\s+(\S*/)?(ip(\s+-(f\w*|n\w*|l\w*|rc\w*)\s+[^\s-]\S*|\s+-\S+)*\s+(r|ro|rou|rout|route"
    r"|ru|rul|rule)|route)\s[^;&|<>`]*(\d?>(&\d|\s*/dev/null)\s*)*(\|\|\s*(true|:|/bin/true)\s*)?"
)


@dataclass(slots=True)
class Stanza:
    """Consecutive lines that belong together."""

    lines: list[str]

    @property
    def words(self) -> list[str]:
        """The words of the first line; none when the lines belong to no stanza."""
        return self.lines[0].split() if _STANZA.match(self.lines[0]) else []

    @property
    def interface(self) -> str:
        """The name an iface stanza configures, else ""."""
        words = self.words
        return words[1] if len(words) >= 2 and words[0] == "iface" else ""

    @property
    def family(self) -> str:
        """Say "inet" or "inet6"; "" when the stanza leaves it open."""
        return self.words[2] if len(self.words) >= 4 and self.words[2] in _FAMILIES else ""

    @property
    def method(self) -> str:
        """Say "static", "dhcp" and so on; "" when the stanza leaves it open."""
        return self.words[3] if self.family else ""

    def option(self, *names: str) -> list[str]:
        """Return the words that follow any of these options."""
        return [word for words in self._options() if words[0] in names for word in words[1:]]

    @property
    def has_addresses(self) -> bool:
        """Whether it writes addresses down; 0.0.0.0 stands for none."""
        addresses = self.option("address")
        if self.interface in {"", "lo"} or (addresses and all(map(is_zero, addresses))):
            return False
        return self.method == "static" or (not self.family and bool(addresses))

    @property
    def static(self) -> bool:
        """Whether it writes addresses down that DHCP can replace."""
        return self.has_addresses and self.kind is not InterfaceKind.OTHER

    @property
    def dhcp(self) -> bool:
        """Whether it gets addresses by DHCP."""
        automatic = {("inet", "dhcp"), ("inet6", "auto"), ("inet6", "dhcp")}
        return (self.family, self.method) in automatic or "dhcp" in self.option("use")

    @property
    def idle(self) -> bool:
        """Whether it starts a NIC without an address, and does nothing else with it."""
        if not self.hardware or self.family != "inet" or self.method not in {"manual", "static"}:
            return False
        return not self.has_addresses and not any(words[0] in HOOKS for words in self._options())

    @property
    def is_left(self) -> bool:
        """Whether it gets what it needs in a way of its own: commands, or PPP."""
        return self.family == "inet" and not (self.has_addresses or self.dhcp or self.idle)

    @property
    def upon(self) -> set[str]:
        """Name the interfaces that it is built upon."""
        return {*self.option(*_UPON), self.interface.rpartition(".")[0]} - {""}

    @property
    def hardware(self) -> bool:
        """Whether it configures a NIC, and not what is built upon one."""
        return self.kind is InterfaceKind.NIC

    @property
    def kind(self) -> InterfaceKind:
        """Return what its options make of it, else its name."""
        if self.method in _OTHER_METHODS or set(self.option("use")) & _OTHERS_USED:
            return InterfaceKind.OTHER
        if set(self.option("use")) & _USED:
            return InterfaceKind.UPON_NICS
        if self.option(*MEMBER):
            return by_name(self.interface)
        said = [kind for line in self.lines[1:] if (kind := _said(line.strip()))]
        return said[0] if said else by_name(self.interface)

    def _options(self) -> list[list[str]]:
        lines = "".join(self.lines[1:]).replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := line.split())]


def stanzas(text: str) -> tuple[Stanza, ...]:
    """Split a file; comments and options stay with the stanza above them."""
    found = [Stanza([])]
    continued = False
    for line in text.splitlines(keepends=True):
        if _STANZA.match(line) and not continued:
            found.append(Stanza([]))
        found[-1].lines.append(line)
        continued = line.rstrip("\n").endswith("\\")
    return tuple(stanza for stanza in found if stanza.lines)


def is_hook(line: str) -> bool:
    """Whether a line runs a command."""
    return bool(line.split()) and line.split(maxsplit=1)[0] in HOOKS


def is_route(line: str) -> bool:
    """Whether a line runs a command that changes routes or rules, and nothing else."""
    return is_hook(line) and bool(_ROUTE.fullmatch(line.rstrip("\n")))


def _said(line: str) -> InterfaceKind | None:
    made = _MADE.match(line)
    if made:
        upon = made[1] in {"bond", "bridge", "vlan", "team"}
        return InterfaceKind.UPON_NICS if upon else InterfaceKind.OTHER
    if _OTHER_OPTION.match(line):
        return InterfaceKind.OTHER
    return InterfaceKind.UPON_NICS if _UPON_OPTION.match(line) else None
