# SPDX-License-Identifier: Apache-2.0
"""Networks by ifupdown, ifupdown2 and ifupdown-ng: /etc/network/interfaces and what it includes.

Format: interfaces(5) of each; the newer two leave out the family and the method.
"""

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from tradewind.morphing.network.program import Interface, Nic, Rewritten, is_name, mentioned

NAME: Final = "ifupdown"
MAIN: Final = "/etc/network/interfaces"
PATTERNS: Final = (MAIN, "/etc/network/interfaces.d/*")
NEEDS: Final = (("/sbin/ifup", "/usr/sbin/ifup"), (MAIN, "/etc/network"))
UNIT: Final = ""
MODE: Final = 0o644

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
    r"(lo|(br|bond|vlan|tun|tap|wg|dummy|virbr|docker|ppp|sit)(\d+|[-_].*)?)$|.*[.:]"
)
# Commands that do to routes what "gateway" does; the addresses that they go through are gone.
_ROUTE: Final = re.compile(r"\s*\S+\s+(\S*/)?(ip(\s+-\S+)*\s+r(oute)?|route)\s")


# Options that name the interfaces below one.
_UPON: Final = {
    "bond-slaves", "bond_slaves", "slaves", "bond-members", "bridge_ports", "bridge-ports",
    "vlan-raw-device", "vlan_raw_device", "requires",
}  # fmt: skip
# What may stand there instead of names.
_WORDS: Final = {"none", "all", "auto", "regex", "noregex", "glob"}
_MEMBER: Final = {"bond-master", "bond_master", "vrf"}


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
        return self.words[2] if len(self.words) >= 4 and self.words[2] in _AUTOMATIC else ""

    @property
    def method(self) -> str:
        """Say "static", "dhcp" and so on; "" when the stanza leaves it open."""
        return self.words[3] if self.family else ""

    def option(self, *names: str) -> list[str]:
        """Return the words that follow any of these options."""
        lines = [line.split() for line in "".join(self.lines[1:]).replace("\\\n", " ").splitlines()]
        return [word for words in lines if words and words[0] in names for word in words[1:]]

    @property
    def fixed(self) -> bool:
        """Whether it writes addresses down."""
        if self.interface in {"", "lo"}:
            return False
        return self.method == "static" or (not self.family and bool(self.option("address")))

    @property
    def asks(self) -> bool:
        """Whether it gets addresses by DHCP."""
        automatic = {("inet", "dhcp"), ("inet6", "auto"), ("inet6", "dhcp")}
        return (self.family, self.method) in automatic or "dhcp" in self.option("use")

    @property
    def hardware(self) -> bool:
        """Whether it configures a NIC, and not what is built upon one."""
        if _VIRTUAL_NAME.match(self.interface) or self.method == "loopback":
            return False
        if self.option(*_MEMBER):
            return True
        return not any(_VIRTUAL_OPTION.match(line.strip()) for line in self.lines[1:])


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


def interfaces(texts: Mapping[str, str]) -> tuple[Interface, ...]:
    """Describe what the stanzas configure, further addresses (eth0:1) left out."""
    found = _all(texts)
    serving = _serving(found)
    by_name: dict[str, list[Stanza]] = {}
    for stanza in found:
        if is_name(stanza.interface):
            by_name.setdefault(stanza.interface, []).append(stanza)
    configured = tuple(
        Interface(
            name=name,
            hardware=all(stanza.hardware for stanza in its),
            fixed=any(stanza.fixed for stanza in its),
            asks=any(stanza.asks for stanza in its),
            serves=name in serving or any(_is_left(stanza) for stanza in its),
        )
        for name, its in by_name.items()
        if name != "lo"
    )
    members = {name for name in serving - _WORDS if not _VIRTUAL_NAME.match(name)}
    return configured + mentioned(members, configured)


def queried(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Name what ifquery(8) can be asked about: interfaces with a stanza of their own."""
    names = [s.interface for s in _all(texts) if is_name(s.interface) and s.interface != "lo"]
    return tuple(dict.fromkeys(names))


def asking(texts: Mapping[str, str]) -> Rewritten:
    """Rewrite the files so that what had fixed addresses asks for them; name commands to look at.

    inet becomes dhcp, inet6 auto; further addresses of one interface (a second stanza, an alias
    like eth0:1) are left out. NICs without an address that serve nothing ask too.
    """
    serving = _serving(_all(texts))
    new = {path: automatic(texts[path], serving) for path in files(texts)}
    changed = {path: text for path, text in new.items() if text != texts[path]}
    commands = [hook for path in changed for hook in hooks(texts[path])]
    look = f"commands that may rely on the old addresses: {'; '.join(commands)}"
    return Rewritten(changed, look=(look,) if commands else ())


def fresh(texts: Mapping[str, str], nics: Sequence[Nic]) -> dict[str, str]:
    """Write stanzas for NICs; "allow-hotplug" lets the guest start without them."""
    named = [nic.name for nic in nics if nic.name]
    old = texts.get(MAIN, "auto lo\niface lo inet loopback\n")
    new = "".join(f"\nallow-hotplug {name}\niface {name} inet dhcp\n" for name in named)
    return {MAIN: old.rstrip("\n") + "\n" + new} if named else {}


def automatic(text: str, serving: Iterable[str] = ()) -> str:
    """Rewrite one file; `serving` are NICs that are part of something else."""
    all_stanzas = stanzas(text)
    aliases = {s.interface for s in all_stanzas if ":" in s.interface and s.fixed}
    done: set[tuple[str, str]] = set()
    lines: list[str] = []
    for stanza in all_stanzas:
        key = (stanza.interface, stanza.family)
        if stanza.interface in aliases or (key in done and stanza.fixed):
            continue
        if stanza.interface:
            done.add(key)
        idle = _idle(stanza) and stanza.interface not in serving
        lines += _asking(stanza) if stanza.fixed or idle else _without(stanza, aliases)
    return "".join(lines)


def hooks(text: str) -> tuple[str, ...]:
    """Commands that run with interfaces which have fixed addresses: they may rely on those."""
    return tuple(
        line.strip()
        for stanza in stanzas(text)
        if stanza.fixed
        for line in stanza.lines[1:]
        if line.split() and line.split()[0] in _HOOKS and not _ROUTE.match(line)
    )


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


def _all(texts: Mapping[str, str]) -> tuple[Stanza, ...]:
    return tuple(s for path in files(texts) for s in stanzas(texts[path]) if s.interface)


def _serving(found: Iterable[Stanza]) -> set[str]:
    """Name the interfaces that are part of others, or carry them."""
    names = set()
    for stanza in found:
        names |= set(stanza.option(*_UPON))
        names |= {stanza.interface} if stanza.option(*_MEMBER) else set()
        names |= {stanza.interface.rpartition(".")[0]}
    return names - {""}


def _idle(stanza: Stanza) -> bool:
    """Whether it starts a NIC without an address, and does nothing else with it."""
    return (
        stanza.hardware
        and stanza.method == "manual"
        and stanza.family == "inet"
        and not any(line.split()[0] in _HOOKS for line in stanza.lines[1:] if line.split())
    )


def _is_left(stanza: Stanza) -> bool:
    """Whether it gets what it needs in a way of its own: commands, or PPP."""
    return stanza.family == "inet" and not (stanza.fixed or stanza.asks or _idle(stanza))


def _asking(stanza: Stanza) -> list[str]:
    lines = [_asking_header(stanza)]
    dropping = False
    for line in stanza.lines[1:]:
        word = (line.split() or [""])[0]
        route = word in _HOOKS and bool(_ROUTE.match(line))
        dropping = dropping or route or word in _ADDRESSING
        if not dropping:
            lines.append(line)
        dropping = dropping and line.rstrip("\n").endswith("\\")
    return lines


def _asking_header(stanza: Stanza) -> str:
    if not stanza.family:
        return f"iface {stanza.interface} inet dhcp\n"
    start, old, end = stanza.lines[0].rpartition(stanza.method)
    return start + (_AUTOMATIC[stanza.family] if old else "") + end


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
