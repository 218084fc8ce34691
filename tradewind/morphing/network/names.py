# SPDX-License-Identifier: Apache-2.0
"""Which NIC has which name in the guest."""

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.morphing.network.program import Interface, Nic
from tradewind.morphing.network.ties import PERSISTENT_RULES

__all__: Final = ["PERSISTENT_RULES", "Naming", "configured", "made_up", "naming"]

_RADIO: Final = re.compile(r"w[lw](an|[bopsux])?\d")


@dataclass(frozen=True, slots=True)
class Naming:
    """NICs and their names: `tied` by the guest itself, `paired` by their order.

    `unpaired` are names that the configuration uses and that could not be given to a NIC, because
    there are `free` NICs, and that is another number.
    """

    tied: tuple[Nic, ...]
    paired: tuple[Nic, ...]
    unpaired: tuple[str, ...]
    free: tuple[str, ...]

    @property
    def nics(self) -> tuple[Nic, ...]:
        """All NICs that have a name."""
        return self.tied + self.paired


def naming(
    given: Mapping[str, str], interfaces: Sequence[Interface], macs: Sequence[str], *, guess: bool
) -> Naming:
    """Pair the machine's NICs with the names that the guest's configuration uses.

    `given` are names that are certain, by MAC address. Names that nothing ties to an address are
    paired by order: NICs in the machine's order, names in natural order, which is how both udev
    and the kernel count. They have to be as many, unless a `guess` does no harm.
    """
    known = dict(given) | {i.mac: i.name for i in interfaces if i.hardware and _tied(i)}
    tied = tuple(Nic(mac, known[mac]) for mac in macs if mac in known)
    elsewhere = set(known.values())
    names = [n for n in configured(interfaces) if n not in elsewhere]
    by_address = {i.mac for i in interfaces if i.mac}
    free = [mac for mac in macs if mac not in known and mac not in by_address]
    fit = len(names) == len(free) or (guess and len(names) < len(free))
    paired = tuple(Nic(m, n) for m, n in zip(free, names, strict=False)) if fit else ()
    return Naming(
        tied=tied,
        paired=paired,
        unpaired=() if fit else tuple(names),
        free=tuple(free[len(paired) :]),
    )


def configured(interfaces: Sequence[Interface]) -> tuple[str, ...]:
    """Name the interfaces with hardware that the configuration mentions."""
    names = {i.name for i in interfaces if i.hardware and not _RADIO.match(i.name)} - {""}
    return tuple(sorted(names, key=_vmware if all(map(_is_vmware, names)) else _natural))


def made_up(macs: Sequence[str], taken: Collection[str]) -> tuple[Nic, ...]:
    """Name NICs that nothing names, for programs that know them by nothing else: lan0, lan1."""
    free = (name for number in itertools.count() if (name := f"lan{number}") not in taken)
    return tuple(Nic(mac, name) for mac, name in zip(macs, free, strict=False))


def _tied(interface: Interface) -> bool:
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
