# SPDX-License-Identifier: Apache-2.0
"""Networks by ifupdown: /etc/network/interfaces and what it includes. Format: interfaces(5)."""

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

MAIN: Final = "/etc/network/interfaces"
PATTERNS: Final = (MAIN, "/etc/network/interfaces.d/*")

# Words that begin a new stanza; everything else belongs to the one before.
_STANZA: Final = re.compile(
    r"\s*(iface|mapping|auto|allow-\S+|source|source-directory|rename|no-auto-down|no-scripts"
    r"|template)\s"
)
# What a static stanza says about addresses; all else (mtu, bridge_ports, hooks) stays.
_ADDRESSING: Final = {
    "address", "netmask", "broadcast", "network", "gateway", "pointopoint", "metric", "scope",
    "preferred-lifetime", "accept_ra", "autoconf", "dad-attempts", "dad-interval",
    "dns-nameserver", "dns-nameservers", "dns-search", "dns-domain",
}  # fmt: skip
_HOOKS: Final = {"up", "post-up", "pre-up", "down", "post-down", "pre-down"}
_AUTOMATIC: Final = {"inet": "dhcp", "inet6": "auto"}
# Options and names that make an interface without hardware.
_VIRTUAL_OPTION: Final = re.compile(r"(bridge|bond|vlan|tunnel|vxlan|pre-up ip link add)", re.I)
_VIRTUAL_NAME: Final = re.compile(
    r"^(lo|br|bond|vlan|tun|tap|wg|dummy|virbr|docker|ppp|sit)\d*|.*[.:]"
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
        return words[1] if len(words) >= 4 and words[0] == "iface" else ""


def files(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Name the main file and those it includes, in order, among files that were read."""
    if MAIN not in texts:
        return ()
    found = [MAIN]
    for word, pattern in _inclusions(texts):
        matching = [path for path in sorted(texts) if _includes(word, pattern, path)]
        found += [path for path in matching if path not in found]
    return tuple(found)


def elsewhere(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Patterns of included files outside the usual folder: they are still to be read."""
    patterns = [p if w == "source" else f"{p}/*" for w, p in _inclusions(texts)]
    return tuple(p for p in patterns if not p.startswith(PATTERNS[1][:-1]))


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


def physical_names(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Name the interfaces with hardware that have a stanza."""
    names = [
        stanza.interface
        for path in files(texts)
        for stanza in stanzas(texts[path])
        if stanza.interface and _physical(stanza)
    ]
    return tuple(dict.fromkeys(names))


def automatic(text: str) -> str:
    """Rewrite a file so that what had fixed addresses asks for them.

    inet becomes dhcp, inet6 auto; further addresses of one interface (a second stanza, an alias
    like eth0:1) are left out. Bridges, bonds and VLANs keep what makes them.
    """
    all_stanzas = stanzas(text)
    aliases = {s.interface for s in all_stanzas if ":" in s.interface and _fixed(s)}
    done: set[tuple[str, str]] = set()
    lines: list[str] = []
    for stanza in all_stanzas:
        key = (stanza.interface, stanza.words[2] if stanza.interface else "")
        if stanza.interface in aliases or (key in done and _fixed(stanza)):
            continue
        if stanza.interface:
            done.add(key)
        lines += _asking(stanza) if _fixed(stanza) else _without(stanza, aliases)
    return "".join(lines)


def hooks(text: str) -> tuple[str, ...]:
    """Commands that run with interfaces which have fixed addresses: they may rely on those."""
    return tuple(
        line.strip()
        for stanza in stanzas(text)
        if _fixed(stanza)
        for line in stanza.lines[1:]
        if line.split() and line.split()[0] in _HOOKS
    )


def asking(names: Sequence[str]) -> str:
    """Write stanzas for NICs that had none; "allow-hotplug" lets the guest start without them."""
    return "".join(f"\nallow-hotplug {name}\niface {name} inet dhcp\n" for name in names)


def _inclusions(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for stanza in stanzas(texts.get(MAIN, "")):
        words = stanza.words
        if len(words) > 1 and words[0] in {"source", "source-directory"}:
            yield words[0], str(PurePosixPath(MAIN).parent / words[1])


def _includes(word: str, pattern: str, path: str) -> bool:
    folder, _, name = path.rpartition("/")
    if word == "source-directory":
        return folder == pattern and bool(re.fullmatch(r"[A-Za-z0-9_-]+", name))
    in_folder, _, names = pattern.rpartition("/")
    return folder == in_folder and fnmatch.fnmatchcase(name, names)


def _fixed(stanza: Stanza) -> bool:
    return bool(stanza.interface) and stanza.words[3] == "static" and stanza.words[2] in _AUTOMATIC


def _physical(stanza: Stanza) -> bool:
    if _VIRTUAL_NAME.match(stanza.interface) or stanza.words[3] == "loopback":
        return False
    return not any(_VIRTUAL_OPTION.match(line.strip()) for line in stanza.lines[1:])


def _asking(stanza: Stanza) -> list[str]:
    family = stanza.words[2]
    lines = [re.sub(r"\bstatic\b", _AUTOMATIC[family], stanza.lines[0])]
    dropping = False
    for line in stanza.lines[1:]:
        words = line.split()
        dropping = dropping or (bool(words) and words[0] in _ADDRESSING)
        if not dropping:
            lines.append(line)
        dropping = dropping and line.rstrip("\n").endswith("\\")
    return lines


def _without(stanza: Stanza, names: set[str]) -> list[str]:
    """Take aliases that are gone out of the lists of what starts."""
    words = stanza.words
    if not words or not (words[0] == "auto" or words[0].startswith("allow-")):
        return stanza.lines
    left = [word for word in words if word not in names]
    if left == words:
        return stanza.lines
    first = [" ".join(left) + "\n"] if len(left) > 1 else []
    return first + stanza.lines[1:]
