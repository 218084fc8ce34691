# SPDX-License-Identifier: Apache-2.0
"""Which NIC has which name in the guest."""

import itertools
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.morphing.linux.network import early_network
from tradewind.morphing.linux.network.matching import accepts
from tradewind.morphing.linux.network.name_pins import PERSISTENT_RULES
from tradewind.morphing.linux.network.program import (
    GuestNic,
    Interface,
    configures,
    is_name,
    mentioned,
)
from tradewind.morphing.linux.network.survey import GuestNetwork

__all__: Final = ["PERSISTENT_RULES", "Naming", "configured", "made_up", "naming", "unfit"]

_RADIO: Final = re.compile(r"w[lw](an|[bopsux])?\d")


@dataclass(frozen=True, slots=True)
class Naming:
    """NICs and their names: `tied` by the guest itself, `paired` by their order.

    `fitted` have a made-up name, so that the one pattern by which the guest finds its NICs holds
    for them. `unpaired` are names that the configuration uses and that could not be given to a
    NIC, because there are `free` NICs, and that is another number.
    """

    tied: tuple[GuestNic, ...]
    paired: tuple[GuestNic, ...]
    fitted: tuple[GuestNic, ...]
    unpaired: tuple[str, ...]
    free: tuple[str, ...]

    @property
    def nics(self) -> tuple[GuestNic, ...]:
        """All NICs that have a name."""
        return self.tied + self.paired + self.fitted

    def all(self, macs: Sequence[str]) -> tuple[GuestNic, ...]:
        """All NICs of the machine, those without a name too."""
        known = {nic.mac: nic for nic in self.nics}
        return tuple(known.get(mac, GuestNic(mac)) for mac in macs)


def naming(network: GuestNetwork, *, guess: bool) -> Naming:
    """Pair the machine's NICs with the names that the guest's configuration uses.

    Some names are certain by MAC address. Names that nothing ties to an address are
    paired by order: NICs in the machine's order, names in natural order, which is how both udev
    and the kernel count. They have to be as many, unless a `guess` does no harm.
    """
    interfaces, macs = network.interfaces, network.macs
    tied = _tied(network)
    elsewhere = {*network.pinned.values(), *(i.name for i in interfaces if _pinned(i))}
    elsewhere |= network.foreign_names
    by_address = {i.mac for i in interfaces if i.mac} | {nic.mac for nic in tied}
    free = [mac for mac in macs if mac not in by_address]
    names = [n for n in _used(network, len(free)) if n not in elsewhere]
    fit = len(names) == len(free) or (guess and len(names) < len(free))
    paired = tuple(GuestNic(m, n) for m, n in zip(free, names, strict=False)) if fit else ()
    named = {nic.mac for nic in (*tied, *paired)}
    left = [mac for mac in macs if mac not in named]
    return Naming(
        tied=tied,
        paired=paired,
        fitted=tuple(_fitted(network, left, {*names, *elsewhere})),
        unpaired=() if fit else tuple(names),
        free=tuple(free[len(paired) :]),
    )


def _used(network: GuestNetwork, most: int) -> tuple[str, ...]:
    """Name what is configured, and what the initial RAM disk configures, if that are not more."""
    interfaces = network.interfaces
    before = mentioned(early_network.names(network.command_lines), interfaces)
    both = configured((*interfaces, *before))
    return both if len(both) <= most else configured(interfaces)


def unfit(network: GuestNetwork, naming: Naming) -> tuple[str, ...]:
    """List the patterns that no NIC will fit, and that are missed.

    Those with fixed addresses or a place are; others only where a NIC is left that nothing
    configures: images have patterns for all the names that there are.
    """
    nics = naming.all(network.macs)
    patterns = [i for i in network.interfaces if _by_pattern(i)]
    idle = [n for n in nics if not any(_configures(network, i, n) for i in network.interfaces)]
    return tuple(
        i.pattern
        for i in patterns
        if (i.static or i.is_port_or_parent or idle)
        and not any(_configures(network, i, nic) for nic in nics)
    )


def _configures(network: GuestNetwork, interface: Interface, nic: GuestNic) -> bool:
    return configures(interface, nic, network.unnamed)


def _tied(network: GuestNetwork) -> tuple[GuestNic, ...]:
    known = dict(network.pinned)
    known |= {i.mac: i.name for i in network.interfaces if i.hardware and _pinned(i)}
    found: dict[str, GuestNic] = {}
    for mac in network.macs:
        if mac in known:
            # Of several addresses that one name is listed with, the first has it.
            found.setdefault(known[mac], GuestNic(mac, known[mac]))
    return tuple(found.values())


def _fitted(network: GuestNetwork, macs: Sequence[str], taken: set[str]) -> Iterator[GuestNic]:
    """Name NICs that nothing else configures so that the pattern for them holds, if it is one."""
    for mac in macs:
        nic = GuestNic(mac)
        if any(_configures(network, i, nic) for i in network.interfaces):
            continue
        patterns = {i.pattern for i in network.interfaces if _by_pattern(i) and i.mac in {"", mac}}
        name = _fitting(patterns.pop(), taken) if len(patterns) == 1 else ""
        if name:
            taken = taken | {name}
            yield GuestNic(mac, name)


def _by_pattern(interface: Interface) -> bool:
    return bool(interface.hardware and interface.pattern and not interface.unmet_match)


def _fitting(pattern: str, taken: Collection[str]) -> str:
    """Make up a name that fits: ens1 for "ens*"; "" for patterns that leave more open."""
    start = next((word.removesuffix("*") for word in pattern.split() if word.endswith("*")), "")
    made = (f"{start}{number}" for number in range(1, 1000))
    name = next((name for name in made if name not in taken), "")
    return name if is_name(name) and accepts(pattern.split(), name) else ""


def configured(interfaces: Sequence[Interface]) -> tuple[str, ...]:
    """Name the interfaces with hardware that the configuration mentions."""
    names = {i.name for i in interfaces if i.hardware and not _RADIO.match(i.name)} - {""}
    return tuple(sorted(names, key=_vmware if all(map(_is_vmware, names)) else _natural))


def made_up(macs: Sequence[str], taken: Collection[str]) -> tuple[GuestNic, ...]:
    """Name NICs that nothing names, for programs that know them by nothing else: lan0, lan1."""
    free = (name for number in itertools.count() if (name := f"lan{number}") not in taken)
    return tuple(GuestNic(mac, name) for mac, name in zip(macs, free, strict=False))


def _pinned(interface: Interface) -> bool:
    return bool(interface.mac and interface.name)


def _is_vmware(name: str) -> bool:
    match = re.fullmatch(r"ens(\d{3})", name)
    return bool(match) and 160 <= int(name[3:]) < 288


def _vmware(name: str) -> list[tuple[int, str]]:
    """Sort as VMware counts: ens160, ens192, ens224, ens256, then ens161, ens193 and so on.

    Its NICs sit behind four bridges, 32 slot numbers apart, and a bridge's next function comes
    only when each of the four has one.
    """
    slot = int(name[3:])
    return [((slot - 160) % 32, ""), (slot, "")]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(d or -1), text) for d, text in re.findall(r"(\d+)|(\D+)", name)]
