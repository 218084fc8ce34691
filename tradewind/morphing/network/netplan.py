# SPDX-License-Identifier: Apache-2.0
"""Networks by Netplan: YAML files that all count together. Format: netplan(5)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ruamel.yaml.comments import CommentedMap

from tradewind.morphing.network import yaml_document
from tradewind.morphing.network.program import Interface, Nic, Rewritten, address, is_name

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
_KINDS: Final = ("ethernets", *_BUILT)
_ADDRESSING: Final = (
    "addresses", "gateway4", "gateway6", "nameservers", "routes", "routing-policy",
    "dhcp4-overrides",
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
    def fixed(self) -> bool:
        return any(part.get("addresses") for part in self.parts)

    @property
    def asks(self) -> bool:
        return _is(self.get("dhcp4"))

    @property
    def hardware(self) -> bool:
        return self.kind == "ethernets"


def interfaces(texts: Mapping[str, str]) -> tuple[Interface, ...]:
    """Describe what all files together define."""
    definitions = _definitions(_documents(texts))
    serving = _serving(definitions)
    return tuple(
        _interface(definition, serves=definition.id in serving) for definition in definitions
    )


def asking(texts: Mapping[str, str]) -> Rewritten:
    """Replace fixed addresses by dhcp4, in the files that hold them.

    NICs that have none and serve nothing ask too. IPv6 is asked for where it was written down.
    """
    documents = _documents(texts)
    definitions = _definitions(documents)
    serving = _serving(definitions)
    changed = False
    for definition in definitions:
        idle = definition.hardware and definition.id not in serving and not definition.asks
        if definition.fixed or idle:
            changed = True
            _automatic(definition)
    if not changed:
        return Rewritten()
    new = {path: yaml_document.written(doc, texts[path]) for path, doc in documents.items()}
    # The writer may lay out differently what it did not change: only another meaning counts.
    return Rewritten({p: t for p, t in new.items() if not _same(p, t, texts[p])})


def fresh(texts: Mapping[str, str], nics: Sequence[Nic]) -> dict[str, str]:
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
        found |= {str(link)} if link else set()
    return found


def _interface(definition: _Definition, *, serves: bool) -> Interface:
    match = definition.match
    mac = address(str(match.get("macaddress", "")))
    pattern = str(match.get("name", ""))
    names = [str(definition.get("set-name") or ""), pattern, "" if match else definition.id]
    name = next((n for n in names if is_name(n)), "")
    void = "match: driver" if match.get("driver") and not mac else ""
    return Interface(
        name=name,
        mac=mac,
        hardware=definition.hardware,
        fixed=definition.fixed,
        asks=definition.asks,
        serves=serves,
        pattern="" if name or mac else pattern,
        void=void,
    )


def _automatic(definition: _Definition) -> None:
    """Change the parts of a definition, which are those of the documents."""
    six = any(":" in str(a) for part in definition.parts for a in _listed(part))
    holders = [p for p in definition.parts if p.get("addresses") or "dhcp4" in p]
    for part in definition.parts:
        for key in _ADDRESSING:
            part.pop(key, None)
    for part in holders or definition.parts[-1:]:
        part["dhcp4"] = True
        if six:
            part["dhcp6"] = True


def _listed(part: Mapping[str, Any]) -> list[Any]:
    addresses = part.get("addresses")
    return list(addresses) if isinstance(addresses, list) else []


def _is(value: Any) -> bool:
    return str(value).lower() in _YES


def _same(path: str, new: str, old: str) -> bool:
    return yaml_document.read(path, new) == yaml_document.read(path, old)
