# SPDX-License-Identifier: Apache-2.0
"""Networks by NetworkManager: keyfiles. Format: nm-settings-keyfile(5)."""

import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.model.mac import read_mac
from tradewind.morphing.linux.network import matching, sections
from tradewind.morphing.linux.network.kinds import InterfaceKind, by_name
from tradewind.morphing.linux.network.program import (
    GuestNic,
    Interface,
    Rewritten,
    compact,
    is_name,
    mentioned,
)
from tradewind.morphing.linux.network.sections import Section

NAME: Final = "NetworkManager"
FOLDER: Final = "/etc/NetworkManager/system-connections"
PATTERNS: Final = (f"{FOLDER}/*",)
NEEDS: Final = (("/usr/sbin/NetworkManager", "/usr/bin/NetworkManager"),)
UNIT: Final = "NetworkManager.service"
# NetworkManager ignores profiles that others may read.
MODE: Final = 0o600

# The priority decides between profiles that fit the same NIC; the default is 0.
_FILE: Final = """\
# Written by Tradewind.
[connection]
id={name}
uuid={uuid}
type=ethernet
autoconnect-priority=100

[ethernet]
mac-address={mac}

[ipv4]
method=auto

[ipv6]
method=auto
"""
_WIRED: Final = {"ethernet", "802-3-ethernet"}
_UPON_NICS: Final = {"bond", "bridge", "vlan", "team"}
# Radio, mobile and VPN profiles are nobody's NIC.
_ELSEWHERE: Final = {"wifi", "802-11-wireless", "gsm", "cdma", "vpn", "bluetooth", "pppoe", "adsl"}
ADDRESSING: Final = re.compile(
    r"(address(es)?|routes?)\d*(_options)?|gateway|dns(-search)?|ignore-auto-(dns|routes)"
    r"|route-(metric|table|data)|routing-rules?\d*"
)
ADDRESS: Final = re.compile(r"address(es)?\d*")


@dataclass(frozen=True, slots=True)
class _Profile:
    """One keyfile."""

    path: str
    parts: tuple[Section, ...]

    def get(self, section: str, *keys: str) -> str:
        """Return the first of these keys that has a value."""
        return next((v for key in keys if (v := sections.value(self.parts, section, key))), "")

    @property
    def type(self) -> str:
        return self.get("connection", "type")

    @property
    def kind(self) -> InterfaceKind:
        return kind(self.type, self.interface)

    @property
    def wired(self) -> bool:
        return self.kind is InterfaceKind.NIC

    @property
    def member(self) -> bool:
        return bool(self.get("connection", "controller", "master"))

    @property
    def mac(self) -> str:
        return read_mac(
            self.get("ethernet", "mac-address") or self.get("802-3-ethernet", "mac-address")
        )

    @property
    def interface(self) -> str:
        name = self.get("connection", "interface-name")
        matched = _elements(self.get("match", "interface-name"))
        return name or (matched[0] if len(matched) == 1 and is_name(matched[0]) else "")

    @property
    def pattern(self) -> str:
        """The patterns for its name; "" when it is told by a name."""
        matched = _elements(self.get("match", "interface-name"))
        return "" if self.interface else " ".join(matched) or "*"

    @property
    def unmet_match(self) -> str:
        """Name a condition that the new machine does not meet, or ""."""
        for key, values in (("driver", (matching.DRIVER,)), ("path", matching.PATHS)):
            globs = _elements(self.get("match", key))
            if globs and not all(matching.accepts(globs, value) for value in values):
                return f"match.{key}"
        return "s390-subchannels" if self.get("ethernet", "s390-subchannels") else ""

    @property
    def identities(self) -> set[str]:
        """What another profile may call it as its parent."""
        known = {self.interface, self.get("connection", "uuid"), self.get("connection", "id")}
        return known - {""}

    def static(self, family: str) -> bool:
        """Whether addresses of one family are written down that DHCP can replace."""
        return self.has_addresses(family) and self.kind is not InterfaceKind.OTHER

    def has_addresses(self, family: str) -> bool:
        """Whether the addresses of one family are written down."""
        own = [part for part in self.parts if part.name == family]
        listed = any(ADDRESS.fullmatch(key) for part in own for key in part.keys)
        return listed or self.get(family, "method") == "manual"


def kind(type_: str, name: str) -> InterfaceKind:
    """Return what a profile of this type, for an interface of this name, configures."""
    if type_ in _UPON_NICS:
        return InterfaceKind.UPON_NICS
    is_nic = type_ in _WIRED and by_name(name) is not InterfaceKind.OTHER
    return InterfaceKind.NIC if is_nic else InterfaceKind.OTHER


def interfaces(texts: Mapping[str, str]) -> tuple[Interface, ...]:
    """Describe the profiles of NICs, and of what is built upon them."""
    profiles = _profiles(texts)
    parents = _parents(profiles)
    configured = tuple(
        _interface(p, is_port_or_parent=_is_port_or_parent(p, parents)) for p in profiles
    )
    return configured + mentioned(parents, configured)


def to_dhcp(texts: Mapping[str, str]) -> Rewritten:
    """Set profiles with fixed addresses to "auto", and NICs that have none and serve nothing."""
    profiles = _profiles(texts)
    parents = _parents(profiles)
    new = {}
    for profile in profiles:
        is_port_or_parent = _is_port_or_parent(profile, parents)
        parts = [
            _automatic(profile, part, is_port_or_parent=is_port_or_parent) for part in profile.parts
        ]
        new[profile.path] = sections.joined(parts)
    return Rewritten({path: text for path, text in new.items() if text != texts[path]})


def dhcp_config(texts: Mapping[str, str], nics: Sequence[GuestNic]) -> dict[str, str]:
    """Write one profile for each NIC."""
    wanted = {}
    for nic in nics:
        name = f"tradewind-{compact(nic.mac)}"
        identity = uuid.uuid5(uuid.NAMESPACE_OID, nic.mac)
        text = _FILE.format(name=name, uuid=identity, mac=nic.mac.upper())
        wanted[f"{FOLDER}/{name}.nmconnection"] = text
    return wanted


def _profiles(texts: Mapping[str, str]) -> tuple[_Profile, ...]:
    found = [_Profile(p, sections.parse(t)) for p, t in texts.items() if _is_keyfile(p)]
    return tuple(p for p in found if p.type and p.type not in _ELSEWHERE)


def _is_keyfile(path: str) -> bool:
    name = path.removeprefix(FOLDER + "/")
    hidden = name.startswith(".") or name.endswith(("~", ".bak", ".rpmsave", ".rpmnew", ".orig"))
    return path != name and not hidden


def _parents(profiles: Sequence[_Profile]) -> set[str]:
    """Return what VLANs and their like name as the interface that carries them."""
    kinds = ("vlan", "macvlan", "vxlan", "ip-tunnel", "ipvlan")
    return {parent for p in profiles for kind in kinds if (parent := p.get(kind, "parent"))}


def _is_port_or_parent(profile: _Profile, parents: Collection[str]) -> bool:
    """Whether it needs no address of its own; "shared" and "link-local" give one to others."""
    elsewhere = profile.get("ipv4", "method") in {"shared", "link-local"}
    return profile.member or elsewhere or bool(profile.identities & set(parents))


def _interface(profile: _Profile, *, is_port_or_parent: bool) -> Interface:
    name = profile.interface if is_name(profile.interface) else ""
    static = profile.static("ipv4") or profile.static("ipv6")
    return Interface(
        name=name,
        mac=profile.mac,
        hardware=profile.wired,
        static=static,
        dhcp=profile.get("ipv4", "method") in {"auto", ""} and not profile.member,
        is_port_or_parent=is_port_or_parent,
        pattern=profile.pattern if profile.wired else "",
        unmet_match=profile.unmet_match,
        keeps_addresses=not static
        and (profile.has_addresses("ipv4") or profile.has_addresses("ipv6")),
    )


def _elements(value: str) -> tuple[str, ...]:
    """Read a list of patterns; "|" says what is so anyway, and "&!x" is "!x"."""
    words = [word.strip() for word in value.split(";")]
    return tuple(word.removeprefix("|").removeprefix("&") for word in words if word)


def _automatic(profile: _Profile, part: Section, *, is_port_or_parent: bool) -> Section:
    if part.name in {"ipv4", "ipv6"} and profile.static(part.name):
        return part.having("method", "auto").without(ADDRESSING)
    if not profile.wired or is_port_or_parent:
        return part
    if part.name == "ipv4" and "disabled" in part.values("method"):
        return part.having("method", "auto")
    if part.name == "connection":
        return part.without(re.compile("autoconnect"))
    return part
