# SPDX-License-Identifier: Apache-2.0
"""Networks by ifupdown, ifupdown2 and ifupdown-ng: /etc/network/interfaces and what it includes.

Format: interfaces(5) of each; the newer two leave out the family and the method.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tradewind.morphing.linux.network import ifupdown_sources
from tradewind.morphing.linux.network.ifupdown_sources import FOLDER
from tradewind.morphing.linux.network.ifupdown_stanzas import (
    MEMBER,
    Stanza,
    is_hook,
    is_route,
    stanzas,
)
from tradewind.morphing.linux.network.kinds import InterfaceKind, by_name
from tradewind.morphing.linux.network.program import (
    GuestNic,
    Interface,
    Rewritten,
    is_name,
    mentioned,
)

NAME: Final = "ifupdown"
MAIN: Final = ifupdown_sources.MAIN
PATTERNS: Final = (MAIN, f"{FOLDER}/*")
NEEDS: Final = (("/sbin/ifup", "/usr/sbin/ifup"), (MAIN, "/etc/network"))
UNIT: Final = ""
MODE: Final = 0o644

# What a static stanza says about addresses; all else (mtu, bridge_ports, hooks) stays.
_ADDRESSING: Final = {
    "address", "netmask", "broadcast", "network", "gateway", "pointopoint", "metric", "scope",
    "preferred-lifetime", "accept_ra", "autoconf", "dad-attempts", "dad-interval",
    "dns-nameserver", "dns-nameservers", "dns-search", "dns-domain",
}  # fmt: skip
_AUTOMATIC: Final = {"inet": "dhcp", "inet6": "auto"}
# What may stand in place of an interface that another is built upon.
_WORDS: Final = {"none", "all", "auto", "regex", "noregex", "glob"}


@dataclass(slots=True)
class _Rewriting:
    """What all files say together, and what of it is rewritten already.

    `aliases` only add addresses, `serving` are part of something else, `done` have a stanza.
    """

    aliases: Collection[str]
    serving: Collection[str]
    done: set[tuple[str, str]] = field(default_factory=set)


def interfaces(texts: Mapping[str, str]) -> tuple[Interface, ...]:
    """Describe what the stanzas configure, further addresses (eth0:1) left out."""
    found = _all(texts)
    serving = _serving(found)
    by_interface: dict[str, list[Stanza]] = {}
    for stanza in found:
        if is_name(stanza.interface):
            by_interface.setdefault(stanza.interface, []).append(stanza)
    starting, physical = ifupdown_sources.starting(texts), ifupdown_sources.physical(texts)
    configured = tuple(
        _interface(device, its, is_port_or_parent=name in serving, starts=starts)
        for name, its in by_interface.items()
        if name != "lo"
        for device in physical.get(name, (name,))
        if (starts := starting.has(name) or starting.has(device)) or is_name(device)
    )
    members = {name for name in serving - _WORDS if by_name(name) is InterfaceKind.NIC}
    return configured + mentioned(members, configured)


def _interface(
    name: str, its: Sequence[Stanza], *, is_port_or_parent: bool, starts: bool
) -> Interface:
    static = any(stanza.static for stanza in its)
    hardware = all(stanza.hardware for stanza in its)
    return Interface(
        name=name if is_name(name) else "",
        pattern="" if is_name(name) else name.rpartition("/")[2],
        hardware=hardware,
        static=static,
        dhcp=any(stanza.dhcp for stanza in its),
        is_port_or_parent=is_port_or_parent or any(stanza.is_left for stanza in its),
        off="" if starts or is_port_or_parent or not hardware else "no auto or allow-hotplug",
        keeps_addresses=not static and any(stanza.has_addresses for stanza in its),
    )


def queried(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Name what ifquery(8) can be asked about: interfaces with a stanza of their own."""
    names = [s.interface for s in _all(texts) if is_name(s.interface) and s.interface != "lo"]
    return tuple(dict.fromkeys(names))


def to_dhcp(texts: Mapping[str, str]) -> Rewritten:
    """Rewrite the files so that what had fixed addresses asks for them; name commands to look at.

    inet becomes dhcp, inet6 auto; further addresses of one interface (a second stanza, an alias
    like eth0:1) are left out. NICs without an address that serve nothing ask too.
    """
    found = _all(texts)
    rewriting = _Rewriting(
        aliases={s.interface for s in found if ":" in s.interface and s.static},
        serving=_serving(found),
    )
    new = {path: _rewritten(texts[path], rewriting) for path in ifupdown_sources.files(texts)}
    changed = {path: text for path, text in new.items() if text != texts[path]}
    return Rewritten(changed, look=(*_look(texts, changed),))


def _look(texts: Mapping[str, str], changed: Iterable[str]) -> list[str]:
    commands = [hook for path in changed for hook in hooks(texts[path])]
    left = ifupdown_sources.not_followed(texts)
    relying = f"commands that may rely on the old addresses: {'; '.join(commands)}"
    unread = f"files that were not read, since a shell has to name them: {'; '.join(left)}"
    return [*([relying] if commands else []), *([unread] if left else [])]


def dhcp_config(texts: Mapping[str, str], nics: Sequence[GuestNic]) -> dict[str, str]:
    """Write stanzas for NICs; "allow-hotplug" lets the guest start without them."""
    named = [nic.name for nic in nics if nic.name]
    old = texts.get(MAIN, "auto lo\niface lo inet loopback\n")
    new = "".join(f"\nallow-hotplug {name}\niface {name} inet dhcp\n" for name in named)
    return {MAIN: old.rstrip("\n") + "\n" + new} if named else {}


def _rewritten(text: str, rewriting: _Rewriting) -> str:
    """Rewrite one file."""
    lines: list[str] = []
    for stanza in stanzas(text):
        key = (stanza.interface, stanza.family)
        more = key in rewriting.done and stanza.static
        if stanza.interface in rewriting.aliases or more:
            continue
        rewriting.done |= {key} if stanza.interface else set()
        idle = stanza.idle and stanza.interface not in rewriting.serving
        asks = stanza.static or idle
        lines += _to_dhcp(stanza) if asks else _without(stanza, rewriting.aliases)
    return "".join(lines)


def hooks(text: str) -> tuple[str, ...]:
    """Commands that run with interfaces which have fixed addresses: they may rely on those."""
    return tuple(
        line.strip()
        for stanza in stanzas(text)
        if stanza.static
        for line in stanza.lines[1:]
        if is_hook(line) and not is_route(line)
    )


def _all(texts: Mapping[str, str]) -> tuple[Stanza, ...]:
    return tuple(
        s for path in ifupdown_sources.files(texts) for s in stanzas(texts[path]) if s.interface
    )


def _serving(found: Iterable[Stanza]) -> set[str]:
    """Name the interfaces that are part of others, or carry them."""
    names = set()
    for stanza in found:
        names |= stanza.upon
        names |= {stanza.interface} if stanza.option(*MEMBER) else set()
    return names


def _to_dhcp(stanza: Stanza) -> list[str]:
    lines = [_asking_header(stanza)]
    dropping = False
    for line in stanza.lines[1:]:
        word = (line.split() or [""])[0]
        dropping = dropping or is_route(line) or word in _ADDRESSING
        if not dropping:
            lines.append(line)
        dropping = dropping and line.rstrip("\n").endswith("\\")
    return lines


def _asking_header(stanza: Stanza) -> str:
    if not stanza.family:
        return f"iface {stanza.interface} inet dhcp\n"
    start, old, end = stanza.lines[0].rpartition(stanza.method)
    return start + (_AUTOMATIC[stanza.family] if old else "") + end


def _without(stanza: Stanza, names: Collection[str]) -> list[str]:
    """Take aliases that are gone out of the lists of what starts."""
    words = stanza.words
    if not words or not (words[0] == "auto" or words[0].startswith("allow-")):
        return stanza.lines
    left = [word for word in words if word not in names]
    if left == words:
        return stanza.lines
    first = [" ".join(left) + "\n"] if len(left) > 1 else []
    return first + stanza.lines[1:]
