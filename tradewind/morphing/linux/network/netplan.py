# SPDX-License-Identifier: Apache-2.0
"""Networks by Netplan: YAML files that all count together. Format: netplan(5)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ruamel.yaml.comments import CommentedMap

from tradewind.model.mac import read_mac
from tradewind.morphing.linux.network import netplan_passthrough, networkmanager, yaml_document
from tradewind.morphing.linux.network.kinds import InterfaceKind, by_name
from tradewind.morphing.linux.network.matching import DRIVER, accepts
from tradewind.morphing.linux.network.program import (
    GuestNic,
    Interface,
    Rewritten,
    is_name,
)

NAME: Final = "Netplan"
FOLDER: Final = "/etc/netplan"
PATTERNS: Final = (f"{FOLDER}/*.yaml",)
GENERATORS: Final = ("/usr/libexec/netplan/generate", "/lib/netplan/generate")
NEEDS: Final = (GENERATORS,)
UNIT: Final = ""
MODE: Final = 0o600
OURS: Final = f"{FOLDER}/90-tradewind.yaml"

_BUILT: Final = (
    "bonds",
    "bridges",
    "vlans",
    "tunnels",
    "vrfs",
    "dummy-devices",
    "virtual-ethernets",
)
_KINDS: Final = ("ethernets", *_BUILT, "nm-devices")
_UPON_NICS: Final = ("bonds", "bridges", "vlans")
_ADDRESSING: Final = (
    "addresses", "gateway4", "gateway6", "nameservers", "routes", "routing-policy",
    "dhcp4-overrides", "dhcp6-overrides",
)  # fmt: skip
_YES: Final = {"true", "yes", "on", "y", "1"}


@dataclass(frozen=True, slots=True)
class _Definition:
    """One interface: its parts, of which each file may hold one, in the order they count."""

    kind: str
    id: str
    parts: tuple[Any, ...]

    def get(self, key: str) -> Any:
        """Return the last value of a key, which counts for everything but lists."""
        return next((p[key] for p in reversed(self.parts) if p.get(key) is not None), None)

    @property
    def match(self) -> Mapping[str, Any]:
        match = self.get("match")
        return match if isinstance(match, Mapping) else {}

    @property
    def name(self) -> str:
        """The name that tells it, "" when its address or patterns do."""
        named = netplan_passthrough.value(self.parts, "connection.interface-name")
        has_match = self.get("match") is not None
        own = "" if has_match or self.kind == "nm-devices" else self.id
        names = [named, str(self.get("set-name") or ""), str(self.match.get("name", "")), own]
        return next((n for n in names if is_name(n)), "")

    @property
    def mac(self) -> str:
        keys = ("ethernet.mac-address", "802-3-ethernet.mac-address")
        handed_on = netplan_passthrough.value(self.parts, *keys)
        return read_mac(str(self.match.get("macaddress", ""))) or read_mac(handed_on)

    @property
    def interface_kind(self) -> InterfaceKind:
        if self.kind == "nm-devices":
            type_ = netplan_passthrough.value(self.parts, "connection.type")
            return networkmanager.kind(type_, self.name)
        if self.kind in _UPON_NICS:
            return InterfaceKind.UPON_NICS
        is_nic = self.kind == "ethernets" and by_name(self.name) is not InterfaceKind.OTHER
        return InterfaceKind.NIC if is_nic else InterfaceKind.OTHER

    @property
    def has_addresses(self) -> bool:
        handed_on = any(netplan_passthrough.static(self.parts, f) for f in ("ipv4", "ipv6"))
        return handed_on or any(part.get("addresses") for part in self.parts)

    @property
    def static(self) -> bool:
        """Whether it has fixed addresses that DHCP can replace."""
        return self.has_addresses and self.interface_kind is not InterfaceKind.OTHER

    @property
    def dhcp(self) -> bool:
        handed_on = netplan_passthrough.value(self.parts, "ipv4.method")
        if netplan_passthrough.is_switched_off(self.parts):
            return False
        return handed_on == "auto" if handed_on else _is(self.get("dhcp4"))

    @property
    def off(self) -> str:
        """Return what keeps it off on purpose, if something does."""
        # YAML 1.1 reads "off" as a truth value.
        mode = str(self.get("activation-mode") or "").lower()
        said = self.get("activation-mode")
        word = "off" if said is False else mode
        return f"activation-mode: {word}" if word in {"off", "manual"} else ""

    @property
    def hardware(self) -> bool:
        return self.interface_kind is InterfaceKind.NIC

    @property
    def is_port(self) -> bool:
        """Whether NetworkManager is told that it is part of another, or gives out addresses."""
        port = netplan_passthrough.value(self.parts, "connection.master", "connection.controller")
        method = netplan_passthrough.value(self.parts, "ipv4.method")
        return bool(port) or method in {"shared", "link-local"}

    @property
    def idle(self) -> bool:
        """Whether it is a NIC that does not ask, though nothing keeps it off on purpose."""
        return self.hardware and not (self.dhcp or self.off)

    @property
    def unmet_match(self) -> str:
        drivers = self.match.get("driver")
        globs = list(map(str, drivers)) if isinstance(drivers, list) else str(drivers or "").split()
        return "match: driver" if globs and not accepts(globs, DRIVER) else ""


def interfaces(texts: Mapping[str, str]) -> tuple[Interface, ...]:
    """Describe what all files together define."""
    definitions = _definitions(_documents(texts))
    serving = _serving(definitions)
    return tuple(
        _interface(definition, is_port_or_parent=definition.id in serving)
        for definition in definitions
    )


def to_dhcp(texts: Mapping[str, str]) -> Rewritten:
    """Replace fixed addresses by dhcp4, in the files that hold them.

    NICs that have none and serve nothing ask too. IPv6 is asked for where it was written down.
    """
    documents = _documents(texts)
    definitions = _definitions(documents)
    serving = _serving(definitions)
    changed = False
    for definition in definitions:
        idle = definition.idle and definition.id not in serving
        if definition.static or idle:
            changed = True
            _automatic(definition)
    if not changed:
        return Rewritten()
    new = {path: yaml_document.written(doc, texts[path]) for path, doc in documents.items()}
    # The writer may lay out differently what it did not change: only another meaning counts.
    return Rewritten({p: t for p, t in new.items() if not _same(p, t, texts[p])})


def dhcp_config(texts: Mapping[str, str], nics: Sequence[GuestNic]) -> dict[str, str]:
    """Write one file for all NICs; the guest does not wait for them when it starts."""
    if not nics:
        return {}
    lines = ["# Written by Tradewind.", "network:", "  version: 2"]
    renderers = [_network(document).get("renderer") for document in _documents(texts).values()]
    if "NetworkManager" in renderers:
        lines.append("  renderer: NetworkManager")
    lines.append("  ethernets:")
    for nic in nics:
        lines += [
            f"    tradewind{nic.mac.replace(':', '')}:",
            f'      match: {{macaddress: "{nic.mac}"}}',
            "      dhcp4: true",
            "      dhcp6: true",
            "      optional: true",
        ]
    return {OURS: "\n".join(lines) + "\n"}


def _documents(texts: Mapping[str, str]) -> dict[str, CommentedMap]:
    """Read all files, in the order in which they count."""
    paths = sorted(p for p in texts if p.startswith(FOLDER + "/") and p.endswith(".yaml"))
    return {path: yaml_document.read(path, texts[path]) for path in paths}


def _network(document: Mapping[str, Any]) -> Mapping[str, Any]:
    network = document.get("network")
    return network if isinstance(network, Mapping) else {}


def _definitions(documents: Mapping[str, CommentedMap]) -> tuple[_Definition, ...]:
    found: dict[tuple[str, str], tuple[Any, ...]] = {}
    for document in documents.values():
        for kind, name, part in _parts(document):
            found[kind, name] = (*found.get((kind, name), ()), part)
    return tuple(_Definition(kind, name, parts) for (kind, name), parts in found.items())


def _parts(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for kind in _KINDS:
        group = _network(document).get(kind)
        if isinstance(group, Mapping):
            for name in list(group):
                if group[name] is None:
                    group[name] = CommentedMap()  # type: ignore[index]
                if isinstance(group[name], CommentedMap):
                    yield kind, str(name), group[name]


def _serving(definitions: Sequence[_Definition]) -> set[str]:
    """Name the definitions that others are built upon."""
    found = set()
    for definition in definitions:
        members = definition.get("interfaces")
        found |= set(map(str, members)) if isinstance(members, list) else set()
        link = definition.get("link")
        parent = netplan_passthrough.value(definition.parts, "vlan.parent")
        found |= {str(name) for name in (link, parent) if name}
        found |= {definition.id} if definition.is_port else set()
    return found


def _interface(definition: _Definition, *, is_port_or_parent: bool) -> Interface:
    pattern = str(definition.match.get("name") or "*")
    return Interface(
        name=definition.name,
        mac=definition.mac,
        hardware=definition.hardware,
        static=definition.static,
        dhcp=definition.dhcp and not definition.off,
        is_port_or_parent=is_port_or_parent,
        pattern="" if definition.name else pattern,
        unmet_match=definition.unmet_match,
        off=definition.off,
        keeps_addresses=definition.has_addresses and not definition.static,
    )


def _automatic(definition: _Definition) -> None:
    """Change the parts of a definition, which are those of the documents."""
    six = any(":" in str(a) for part in definition.parts for a in _listed(part))
    netplan_passthrough.ask(definition.parts)
    if definition.kind == "nm-devices":
        return
    holders = [p for p in definition.parts if p.get("addresses") or "dhcp4" in p]
    for part in definition.parts:
        for key in (*_ADDRESSING, *(_without_advertisements(part) if six else ())):
            part.pop(key, None)
    for part in holders or definition.parts[-1:]:
        part["dhcp4"] = True
        if six:
            part["dhcp6"] = True


def _without_advertisements(part: Mapping[str, Any]) -> list[str]:
    """Name what keeps router advertisements away, where fixed addresses made them needless."""
    link_local = part.get("link-local")
    refused = "accept-ra" in part and not _is(part["accept-ra"])
    alone = isinstance(link_local, list) and "ipv6" not in link_local
    return [*(["accept-ra"] if refused else []), *(["link-local"] if alone else [])]


def _listed(part: Mapping[str, Any]) -> list[Any]:
    addresses = part.get("addresses")
    return list(addresses) if isinstance(addresses, list) else []


def _is(value: Any) -> bool:
    return str(value).lower() in _YES


def _same(path: str, new: str, old: str) -> bool:
    return yaml_document.read(path, new) == yaml_document.read(path, old)
